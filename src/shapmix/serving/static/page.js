// The page: a file is sent, its actions are listed, the parts of the body are explained.
(() => {
  const $ = (id) => document.getElementById(id);
  const player = new SkeletonPlayer($("player"));
  const percent = (value) => `${(100 * value).toFixed(1)} %`;
  const signed = (value) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(3);
  const words = (name) => name.replaceAll("_", " ");
  let model = null;
  let clips = [];
  let shown = null; // the clip, while its explanation is awaited

  function element(tag, text = "", kind = "") {
    const made = document.createElement(tag);
    made.textContent = text;
    made.className = kind;
    return made;
  }

  async function ask(path, options = {}) {
    let answer;
    try {
      answer = await fetch(path, options);
    } catch {
      throw new Error("The server does not answer. Is it still running?");
    }
    const found = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Error(found.detail ?? `The server answered ${answer.status}.`);
    return found;
  }

  function tell(status, problem = "") {
    $("status").textContent = status;
    $("problem").textContent = problem;
  }

  async function describe() {
    model = await ask("/model");
    const { layout, channels, units, limits } = model;
    const joints = layout.joints.length;
    $("facts").textContent =
      `${model.class_names.length} actions; ${joints} joints of ${layout.name}: ` +
      `${[...channels].join(", ").replace("c", "confidence")} (${units}).`;
    $("expects").textContent =
      `An array (.npy, .npz, .json) of shape frames × persons × ${joints} × ${channels.length}, ` +
      `or a .csv, .skeleton, .bvh or other file of clips that shapmix imports; at most ` +
      `${(limits.body_bytes / 2 ** 20).toFixed(0)} MB and ${limits.frames} frames.`;
    $("licence").textContent = model.licence ? `Licence of the model: ${model.licence}.` : "";
    $("ask").textContent = model.explains ? "Choose one to see which parts speak for it." : "";
  }

  async function send(file) {
    if (file.size > model.limits.body_bytes) {
      tell("", `${file.name} is larger than ${model.limits.body_bytes} bytes; send a shorter clip.`);
      return;
    }
    tell(`Reading ${file.name} …`);
    $("result").hidden = true;
    const form = new FormData();
    form.append("file", file);
    form.append("keypoints", "true");
    const found = await ask("/predict/file", { method: "POST", body: form });
    clips = found.clips;
    const skipped = found.skipped.map(({ name, why }) => `${name}: ${why}`);
    tell("", skipped.length ? `${skipped.length} clips left out. ${skipped[0]}` : "");
    $("choice").replaceChildren(...clips.map((clip, i) => new Option(clip.name, String(i))));
    $("choice-line").hidden = clips.length < 2;
    $("result").hidden = false;
    show(clips[0]);
  }

  function show(clip) {
    const { layout, channels } = model;
    const head = layout.joints.findIndex((name) => ["head", "nose"].includes(name));
    const { keypoints, up, fps } = clip;
    const flat = channels !== "xyz";
    shown = clip;
    $("clip-title").textContent = clip.name;
    $("turn").hidden = flat;
    player.show({ keypoints, up, fps, bones: layout.bones, head, flat, scored: channels === "xyc" });
    $("actions").replaceChildren(...clip.predictions.map((action) => actionButton(clip, action)));
    $("explanation").hidden = $("legend").hidden = true;
    if (model.explains) explain(clip, clip.predictions[0].index);
  }

  function actionButton(clip, { label, index, probability }) {
    const item = element("li");
    const button = element("button");
    const bar = element("i");
    bar.style.width = percent(probability).replace(" ", "");
    button.type = "button";
    button.disabled = !model.explains;
    button.dataset.index = index;
    button.append(element("span", label), element("span", percent(probability), "number"), bar);
    button.addEventListener("click", () => explain(clip, index));
    item.append(button);
    return item;
  }

  async function explain(clip, index) {
    for (const button of $("actions").querySelectorAll("button"))
      button.setAttribute("aria-pressed", String(Number(button.dataset.index) === index));
    const body = JSON.stringify({ keypoints: clip.keypoints, label: index });
    const headers = { "Content-Type": "application/json" };
    try {
      const found = await ask("/explain", { method: "POST", body, headers });
      const chosen = $("actions").querySelector('[aria-pressed="true"]');
      if (clip === shown && Number(chosen?.dataset.index) === index) showParts(found);
    } catch (error) {
      tell("", error.message);
    }
  }

  function showParts(found) {
    const most = Math.max(...found.parts.map((part) => Math.abs(part.value)), 1e-6);
    const side = (value) => (value < 0 ? "against" : "for");
    $("parts-title").textContent = `What each part does for “${found.label}”`;
    $("parts").replaceChildren(
      ...found.parts.map(({ name, value }) => {
        const row = element("tr");
        const title = element("th", words(name));
        const bar = element("span", "", "bar");
        const length = element("i", "", side(value));
        const cell = element("td");
        title.scope = "row";
        length.style.width = `${(50 * Math.abs(value)) / most}%`;
        bar.append(length);
        cell.append(bar);
        row.append(title, element("td", signed(value), "number"), cell);
        return row;
      }),
    );
    const { v_full: full, v_empty: empty } = found;
    $("sum").textContent =
      `Exact Shapley values. They add up to ${signed(full - empty)}: from ${percent(empty)} ` +
      `without any part to ${percent(full)} with all.`;
    const sizes = (parts) => parts.length >= 2 && parts.length <= 3;
    const best = found.coalitions.filter(({ parts }) => sizes(parts));
    best.sort((one, other) => other.value - one.value);
    $("coalitions").replaceChildren(
      ...best.slice(0, 3).map(({ parts, value }) =>
        element("li", `${parts.map(words).join(" + ")}: ${signed(value)}`),
      ),
    );
    const colours = model.layout.joints.map(() => ["--nothing", 0]);
    for (const { name, value } of found.parts)
      for (const joint of model.layout.parts[name])
        colours[joint] = [`--${side(value)}`, Math.abs(value) / most];
    player.paint(colours);
    $("legend-low").textContent = signed(-most);
    $("legend-high").textContent = signed(most);
    $("legend").hidden = $("explanation").hidden = false;
  }

  const sendOne = (files) =>
    files.length && send(files[0]).catch((error) => tell("", error.message));
  $("file").addEventListener("change", () => {
    sendOne($("file").files);
    $("file").value = "";
  });
  $("choice").addEventListener("change", () => show(clips[Number($("choice").value)]));
  for (const name of ["dragover", "dragleave", "drop"])
    window.addEventListener(name, (event) => {
      event.preventDefault();
      $("drop").classList.toggle("over", name === "dragover");
      if (name === "drop") sendOne(event.dataTransfer.files);
    });
  describe().catch((error) => tell("", error.message));
})();
