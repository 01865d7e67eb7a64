"use strict";
// Confusion matrices: zoom by dragging, by buttons and by keys; one class at a time when chosen.
(() => {
  const { names, matrices } = Report.data("data-confusion");
  const K = names.length;
  const { plain } = Report;
  const titles = names.map(plain);
  const shortened = names.map((name) => plain(name.length > 20 ? `${name.slice(0, 19)}…` : name));
  const STOPS = [0, 0.1, 0.4, 1]; // small shares are what one looks for: they get much of the scale
  const SCALE = STOPS.map((stop, step) => [stop, `var(--scale-${step})`]);
  const NAMED = 45; // fields a side, up to which the axes have names
  const narrow = window.matchMedia("(max-width: 600px)");

  function axis(range, places) {
    const [low, high] = [Math.min(...range), Math.max(...range)];
    const shown = high - low <= (narrow.matches ? 14 : NAMED) ? places : [];
    return { range, tickvals: shown, ticktext: shown.map((k) => shortened[k]) };
  }
  const all = Array.from({ length: K }, (_, k) => k);

  function setUp(panel) {
    const counts = matrices[panel.dataset.matrix];
    const clips = counts.map((row) => row.reduce((sum, value) => sum + value, 0));
    const shares = counts.map((row, k) => row.map((value) => (clips[k] ? (100 * value) / clips[k] : null)));
    const element = panel.querySelector(".plot");
    const whole = { x: [-0.5, K - 0.5], y: [K - 0.5, -0.5] };
    let view = structuredClone(whole);
    let only = null; // the class of which row and column are shown
    let drawn = false;

    function traces() {
      const kept = (k, j) => only === null || k === only || j === only;
      return [
        {
          type: "heatmap",
          z: shares.map((row, k) => row.map((value, j) => (kept(k, j) ? value : null))),
          customdata: counts,
          x: all,
          y: all,
          text: counts.map((row, k) => row.map((value, j) => `${titles[k]} → ${titles[j]}`)),
          hovertemplate: "%{text}<br><b>%{z:.1f} %</b> (%{customdata} clips)<extra></extra>",
          zmin: 0,
          zmax: 100,
          colorscale: SCALE,
          xgap: K <= 40 ? 1 : 0,
          ygap: K <= 40 ? 1 : 0,
          colorbar: narrow.matches
            ? { orientation: "h", thickness: 10, y: 1.01, yanchor: "bottom", ticksuffix: " %" }
            : { thickness: 12, ticksuffix: " %", outlinewidth: 0 },
        },
      ];
    }
    function draw() {
      drawn = true;
      const fixed = { showgrid: false, zeroline: false };
      const layout = {
        xaxis: { ...fixed, ...axis(view.x, all), tickangle: -55, title: { text: "recognised as" } },
        yaxis: { ...fixed, ...axis(view.y, all), title: { text: "true class" } },
        margin: { l: 40, r: 4, t: 4, b: 40 },
      };
      return Report.plot(element, { traces: traces(), layout });
    }
    function zoom(factor) {
      for (const side of ["x", "y"]) {
        const [a, b] = view[side];
        const middle = (a + b) / 2;
        const half = Math.min(K, Math.max(3, Math.abs(b - a) * factor)) / 2;
        const inside = Math.min(Math.max(middle, half - 0.5), K - 0.5 - half);
        view[side] = a < b ? [inside - half, inside + half] : [inside + half, inside - half];
      }
      draw();
    }
    function move(right, down) {
      const size = Math.abs(view.x[1] - view.x[0]);
      const tall = Math.abs(view.y[1] - view.y[0]);
      const left = Math.min(Math.max(view.x[0] + (right * size) / 4, -0.5), K - 0.5 - size);
      const top = Math.min(Math.max(view.y[1] + (down * tall) / 4, -0.5), K - 0.5 - tall);
      view = { x: [left, left + size], y: [top + tall, top] };
      draw();
    }

    for (const button of panel.querySelectorAll("[data-zoom]")) {
      button.addEventListener("click", () => {
        if (button.dataset.zoom !== "reset") return zoom(Number(button.dataset.zoom));
        view = structuredClone(whole);
        return draw();
      });
    }
    const STEPS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };
    panel.querySelector("[role=group]").addEventListener("keydown", (event) => {
      if (!STEPS[event.key] || event.target.tagName === "SELECT") return;
      event.preventDefault();
      move(...STEPS[event.key]);
    });
    const choice = panel.querySelector("select");
    for (const k of [...all].sort((a, b) => names[a].localeCompare(names[b]))) {
      choice.append(new Option(names[k], k));
    }
    choice.addEventListener("change", () => {
      only = choice.value === "" ? null : Number(choice.value);
      draw();
    });
    Report.whenVisible(element, async () => {
      await draw();
      element.on("plotly_relayout", (change) => {
        if (change["xaxis.range[0]"] === undefined && change["xaxis.autorange"] === undefined) return;
        const kept = change["xaxis.range[0]"] !== undefined;
        const of = (side) => [change[`${side}axis.range[0]`], change[`${side}axis.range[1]`]];
        view = kept ? { x: of("x"), y: of("y") } : structuredClone(whole);
        draw();
      });
    });
    Report.onTheme(() => drawn && draw());
  }
  document.querySelectorAll(".confusion").forEach(setUp);

  for (const button of document.querySelectorAll("button[data-player]")) {
    button.addEventListener("click", () => {
      const player = document.getElementById(button.dataset.player);
      player.dispatchEvent(new CustomEvent("show", { detail: Number(button.dataset.show) }));
      const play = player.querySelector(".play");
      if (!Report.reducedMotion && play.textContent === "Play") play.click();
      const behavior = Report.reducedMotion ? "auto" : "smooth";
      player.scrollIntoView({ block: "nearest", behavior });
    });
  }
})();
