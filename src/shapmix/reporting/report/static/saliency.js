// Salient parts of the chosen class: body, bars of parts and coalitions, interactions, development.
"use strict";
(() => {
  const text = (value, digits = 2) => {
    const words = value.toFixed(digits);
    return Number(words) === 0 ? words.replace("-", "") : words.replace("-", "−");
  };
  const withError = (value, error) =>
    error === null ? text(value, 3) : `${text(value, 3)} ± ${text(error, 3)}`;

  const DASHES = ["solid", "dash", "dot", "dashdot", "longdash"];
  const plain = (words) => words.replace(/&/g, "&amp;").replace(/</g, "&lt;"); // plotly reads tags

  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  /** A bar from zero with its error; `limit` are the ends of the scale. */
  function bar(value, error, [low, high]) {
    const at = (v) => (100 * (v - low)) / (high - low);
    const piece = (name, from, to) =>
      element("i", { class: name, style: `left: ${at(from)}%; width: ${at(to) - at(from)}%` });
    const sign = value < 0 ? "length minus" : "length";
    const box = element("div", {}, piece(sign, Math.min(value, 0), Math.max(value, 0)));
    if (error) box.append(piece("error", value - error, value + error));
    box.append(element("i", { class: "zero", style: `left: ${at(0)}%` }));
    return element("td", { class: "bars" }, box);
  }

  /** The least and the largest end of bars with their errors, zero among them. */
  function limits(values, errors) {
    const ends = (sign) => values.map((value, i) => value + sign * (errors[i] ?? 0));
    const [low, high] = [Math.min(0, ...ends(-1)), Math.max(0, ...ends(1))];
    return [low, high > low ? high : low + 1];
  }

  function table(kind, title, head, rows) {
    return element(
      "div",
      { class: "wide", tabindex: 0, role: "region", "aria-label": title },
      element(
        "table",
        { class: kind },
        element("caption", {}, title),
        element("thead", {}, element("tr", {}, ...head)),
        element("tbody", {}, ...rows.map((cells) => element("tr", {}, ...cells))),
      ),
    );
  }
  const column = (words, kind = "") => element("th", { scope: "col", class: kind }, words);

  class Panel {
    constructor(root) {
      this.root = root;
      this.data = Report.data(`${root.id}-data`);
      this.chooser = this.find(".class");
      this.size = this.find(".size");
      this.chooser.addEventListener("change", () => this.draw());
      for (const button of root.querySelectorAll(".pick"))
        button.addEventListener("click", () => {
          this.chooser.value = button.dataset.label;
          this.draw();
          this.chooser.scrollIntoView({ block: "center" });
        });
      if (this.size) this.fillSizes();
      this.plot = this.find(".development");
      this.seen = false;
      if (this.plot) {
        Report.whenVisible(this.plot, () => {
          this.seen = true;
          this.drawDevelopment();
        });
        Report.onTheme(() => this.drawDevelopment());
      }
      this.draw();
    }

    find(selector) {
      return this.root.querySelector(selector);
    }

    get label() {
      return Number(this.chooser.value);
    }

    get name() {
      return this.data.classes[this.label];
    }

    /** The sizes of coalitions: first those that are mixed, about half of the parts. */
    fillSizes() {
      const half = this.data.parts.length / 2;
      const middle = [...new Set([Math.floor(half), Math.ceil(half)])];
      const sizes = [...new Set(this.data.coalitions.map((members) => members.length))];
      const option = (words, chosen) =>
        this.size.append(element("option", { value: chosen.join() }, words));
      option(`${middle.join(" and ")} parts, which are mixed`, middle);
      option("all", sizes);
      for (const size of sizes) option(size === 1 ? "1 part" : `${size} parts`, [size]);
      this.size.addEventListener("change", () => this.drawCoalitions());
    }

    draw() {
      if (this.data.parts) {
        this.drawParts();
        this.drawCoalitions();
        this.drawPairs();
        for (const button of this.root.querySelectorAll(".pick")) {
          const row = button.closest("tr");
          if (Number(button.dataset.label) === this.label) row.setAttribute("aria-current", "true");
          else row.removeAttribute("aria-current");
        }
      }
      if (this.plot) this.drawDevelopment();
    }

    /** Values and errors of the coalitions that are chosen, as [members, value, error]. */
    valuesOf(choose) {
      const { coalitions, values, errors } = this.data;
      return coalitions
        .map((members, i) => [members, values[this.label][i], errors[this.label][i]])
        .filter(([members]) => choose(members));
    }

    drawParts() {
      const found = this.valuesOf((members) => members.length === 1);
      const [values, errors] = [found.map((each) => each[1]), found.map((each) => each[2])];
      const scale = limits(values, errors);
      const clips = this.data.clips[this.label];
      const rows = found
        .map(([[part], value, error]) => [
          element("th", { scope: "row" }, this.data.parts[part]),
          bar(value, error, scale),
          element("td", { class: "number" }, withError(value, error)),
        ]);
      const title = `Parts of “${this.name}” (${clips} clip${clips === 1 ? "" : "s"} explained)`;
      const head = [column("Part"), column("Contribution", "bars"), column("Value", "number")];
      this.find(".part-values").replaceChildren(table("values", title, head, rows));
      this.drawBody(found);
    }

    drawBody(found) {
      const picture = this.find("svg");
      if (!picture) return;
      const largest = Math.max(...found.map(([, value]) => Math.abs(value)), 1e-9);
      for (const [[part], value] of found)
        for (const shape of picture.querySelectorAll(`[data-part="${part}"]`)) {
          shape.style.setProperty("--share", Math.abs(value) / largest);
          shape.setAttribute("class", value < 0 ? "minus" : "plus");
        }
      const words = found.map(([[part], value]) => `${this.data.parts[part]} ${text(value)}`);
      picture.setAttribute("aria-label", `Body coloured by Shapley value: ${words.join(", ")}`);
      const [low, high] = this.root.querySelectorAll(".legend span");
      low.textContent = text(-largest);
      high.textContent = text(largest);
    }

    drawCoalitions() {
      const sizes = this.size.value.split(",").map(Number);
      const found = this.valuesOf((members) => sizes.includes(members.length));
      found.sort((one, other) => other[1] - one[1]);
      const scale = limits(found.map((each) => each[1]), found.map((each) => each[2]));
      const { parts } = this.data;
      const rows = found.map(([members, value, error]) => [
        ...parts.map((part, i) => {
          const inside = members.includes(i);
          const dot = element("i", { class: inside ? "in" : "" });
          const words = element("span", { class: "spoken" }, inside ? part : "");
          return element("td", { class: "part" }, dot, words);
        }),
        bar(value, error, scale),
        element("td", { class: "number" }, withError(value, error)),
      ]);
      const head = [
        ...parts.map((part) => column(element("span", {}, part), "part")),
        column("Contribution", "bars"),
        column("Value", "number"),
      ];
      const title = `Coalitions of “${this.name}”, the most salient first`;
      this.find(".coalition-values").replaceChildren(table("values", title, head, rows));
    }

    drawPairs() {
      const { parts, interactions, interactionErrors } = this.data;
      const [values, errors] = [interactions[this.label], interactionErrors[this.label]];
      const largest = Math.max(...values.flat().map(Math.abs), 1e-9);
      const cell = (i, j) => {
        if (i === j) return element("td", { class: "own" }, "·");
        const [value, error] = [values[i][j], errors[i][j]];
        const look = {
          class: value < 0 ? "minus" : "plus",
          style: `--share: ${Math.abs(value) / largest}`,
        };
        const spread = error === null ? "" : `± ${text(error, 3)}`;
        return element("td", look, text(value, 3), element("span", { class: "error-text" }, spread));
      };
      const rows = parts.map((part, i) => [
        element("th", { scope: "row" }, part),
        ...parts.map((_, j) => cell(i, j)),
      ]);
      const head = [element("td"), ...parts.map((part) => column(part))];
      const title = `Interactions of parts for “${this.name}”`;
      this.find(".pair-values").replaceChildren(table("pairs", title, head, rows));
    }

    drawDevelopment() {
      if (!this.seen) return;
      const { epochs, names, lines, scores } = this.data.development;
      const traces = lines[this.label].map((line, i) => ({
        type: "scatter",
        mode: epochs.length > 1 ? "lines" : "markers",
        name: plain(names[line]),
        x: epochs,
        y: scores[this.label][i],
        line: { color: `var(--series-${i + 1})`, width: 2, dash: DASHES[i] },
      }));
      const layout = {
        xaxis: { title: { text: "epoch" } },
        yaxis: { title: { text: "saliency score" }, rangemode: "tozero" },
      };
      const words = lines[this.label].map((line, i) => `${names[line]} ${traces[i].y.at(-1)}`);
      this.plot.setAttribute(
        "aria-label",
        `Lines: saliency scores of “${this.name}” by epoch; in the end ${words.join(", ")}.`,
      );
      Report.plot(this.plot.querySelector(".canvas"), { traces, layout });
    }
  }

  for (const root of document.querySelectorAll(".saliency")) new Panel(root);
})();
