"use strict";
// What all sections of the report use: data, theme, navigation, tabs, tables, copying.
const Report = (() => {
  const root = document.documentElement;
  const media = window.matchMedia("(prefers-color-scheme: dark)");
  const themeCallbacks = [];
  const waiting = new Map(); // element -> what to do once it is seen

  // Text for plotly, which reads tags.
  const plain = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;");
  const data = (id) => JSON.parse(document.getElementById(id).textContent);

  // --- theme: the head of the page has set the first one ------------------------------------------
  const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const onTheme = (callback) => themeCallbacks.push(callback);
  const button = document.getElementById("theme");

  function setTheme(name) {
    root.dataset.theme = name;
    button.setAttribute("aria-pressed", String(name === "dark"));
    for (const callback of themeCallbacks) callback();
  }
  setTheme(root.dataset.theme);
  button.addEventListener("click", () => {
    setTheme(root.dataset.theme === "dark" ? "light" : "dark");
    try {
      localStorage.setItem("shapmix-theme", root.dataset.theme);
    } catch (error) {
      // a page opened from disk may have no storage: the choice lasts as long as the page
    }
  });
  media.addEventListener("change", () => setTheme(media.matches ? "dark" : "light"));

  // --- work that waits until it is seen ----------------------------------------------------------
  const observer = new IntersectionObserver(
    (entries) => entries.filter((entry) => entry.isIntersecting).forEach((e) => show(e.target)),
    { rootMargin: "300px" },
  );
  function show(element) {
    const callback = waiting.get(element);
    waiting.delete(element);
    observer.unobserve(element);
    if (callback) callback(element);
  }
  function whenVisible(element, callback) {
    waiting.set(element, callback);
    if (document.readyState === "complete") observer.observe(element);
  }
  const observeAll = () => [...waiting.keys()].forEach((element) => observer.observe(element));
  window.addEventListener("load", () => setTimeout(observeAll)); // first the page can be read

  // --- printing: light, and with every picture ---------------------------------------------------
  let themeBefore;
  window.addEventListener("beforeprint", () => {
    themeBefore = root.dataset.theme;
    [...waiting.keys()].filter((element) => element.offsetParent).forEach(show);
    setTheme("light");
  });
  window.addEventListener("afterprint", () => setTheme(themeBefore));

  // --- navigation: the section in view is the current one ----------------------------------------
  const links = [...document.querySelectorAll("nav a")];
  const sections = links.map((link) => document.querySelector(link.getAttribute("href")));
  let current = null;
  function follow() {
    const line = window.innerHeight / 3;
    const atEnd = window.innerHeight + window.scrollY >= root.scrollHeight - 4;
    const passed = sections.filter((each) => each.getBoundingClientRect().top <= line);
    const section = atEnd ? sections.at(-1) : (passed.at(-1) ?? sections[0]);
    if (section === current) return;
    current = section;
    links.forEach((link, i) => {
      if (sections[i] === section) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    });
    const link = links[sections.indexOf(section)];
    const list = link.closest("ol");
    list.scrollLeft = link.offsetLeft - (list.clientWidth - link.offsetWidth) / 2;
  }
  document.addEventListener("scroll", () => requestAnimationFrame(follow), { passive: true });
  follow();

  // --- tabs --------------------------------------------------------------------------------------
  function choose(tabs, tab) {
    for (const each of tabs) {
      const chosen = each === tab;
      each.setAttribute("aria-selected", String(chosen));
      each.tabIndex = chosen ? 0 : -1;
      document.getElementById(each.getAttribute("aria-controls")).hidden = !chosen;
    }
  }
  const STEPS = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity };
  for (const list of document.querySelectorAll('[role="tablist"]')) {
    const tabs = [...list.querySelectorAll('[role="tab"]')];
    for (const tab of tabs) tab.addEventListener("click", () => choose(tabs, tab));
    list.addEventListener("keydown", (event) => {
      const step = STEPS[event.key];
      if (step === undefined) return;
      event.preventDefault();
      const last = tabs.length - 1;
      const from = tabs.indexOf(document.activeElement) + step;
      const to = Number.isFinite(step) ? (from + tabs.length) % tabs.length : step < 0 ? 0 : last;
      choose(tabs, tabs[to]);
      tabs[to].focus();
    });
  }

  // --- tables: sorting and searching -------------------------------------------------------------
  const value = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.value ?? cell.textContent.trim();
  };
  function compare(a, b, descending) {
    if (a === "" || b === "") return (a === "") - (b === ""); // no figure: always last
    const difference = Number(a) - Number(b);
    const order = Number.isNaN(difference) ? a.localeCompare(b) : difference;
    return descending ? -order : order;
  }
  function sort(table, heading, descending) {
    const headings = [...table.tHead.rows[0].cells];
    const column = headings.indexOf(heading);
    const body = table.tBodies[0];
    const rows = [...body.rows];
    rows.sort((a, b) => compare(value(a, column), value(b, column), descending));
    body.append(...rows);
    for (const each of headings) if (each.hasAttribute("aria-sort")) each.setAttribute("aria-sort", "none");
    heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
  }
  for (const table of document.querySelectorAll("table.sortable")) {
    for (const heading of table.querySelectorAll("th[aria-sort]")) {
      heading.querySelector("button").addEventListener("click", () => {
        const before = heading.getAttribute("aria-sort");
        const first = heading.classList.contains("number"); // numbers: the largest first
        sort(table, heading, before === "none" ? first : before === "ascending");
      });
    }
  }
  for (const field of document.querySelectorAll("input[data-searches]")) {
    const rows = [...document.getElementById(field.dataset.searches).tBodies[0].rows];
    const told = document.getElementById(field.getAttribute("aria-describedby"));
    field.addEventListener("input", () => {
      const words = field.value.toLowerCase().split(/\s+/);
      for (const row of rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
      }
      told.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length}`;
    });
  }
  for (const frame of document.querySelectorAll(".scroll")) {
    const caption = frame.querySelector("caption");
    frame.tabIndex = 0; // so that the arrow keys scroll it
    frame.setAttribute("role", "region");
    frame.setAttribute("aria-label", caption ? caption.textContent : "Table");
  }

  // --- copying -----------------------------------------------------------------------------------
  async function copy(text) {
    try {
      await navigator.clipboard.writeText(text);
    } catch (error) {
      const area = document.createElement("textarea"); // browsers without a clipboard for files
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
  }
  for (const each of document.querySelectorAll("button[data-copies]")) {
    each.addEventListener("click", async () => {
      const words = each.textContent;
      await copy(document.getElementById(each.dataset.copies).textContent);
      each.textContent = "Copied";
      setTimeout(() => (each.textContent = words), 1500);
    });
  }

  const reducedMotion = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  return { data, plain, colour, onTheme, whenVisible, reducedMotion };
})();
