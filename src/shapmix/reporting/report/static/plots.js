"use strict";
// Plots: drawn by plotly.js when they are first seen, in the colours of the theme.
(() => {
  const narrow = window.matchMedia("(max-width: 600px)");
  const touch = window.matchMedia("(pointer: coarse)");

  // Everything of the form "var(--name)" becomes the colour of that name.
  function coloured(value) {
    if (typeof value === "string") {
      return value.replace(/var\((--[\w-]+)\)/g, (match, name) => Report.colour(name));
    }
    if (Array.isArray(value)) return value.map(coloured);
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, coloured(each)]));
  }
  function merged(base, over) {
    const both = { ...base };
    for (const [key, value] of Object.entries(over)) {
      const deep = value !== null && typeof value === "object" && !Array.isArray(value);
      both[key] = deep ? merged(both[key] ?? {}, value) : value;
    }
    return both;
  }

  const AXIS = {
    gridcolor: "var(--line)",
    linecolor: "var(--line)",
    zerolinecolor: "var(--line)",
    automargin: true,
    title: { standoff: 8 },
  };
  const LAYOUT = {
    font: { family: "system-ui, sans-serif", size: 13, color: "var(--ink)" },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    margin: { l: 44, r: 8, t: 8, b: 40 },
    legend: { orientation: "h", x: 0, y: 1.02, xanchor: "left", yanchor: "bottom" },
    hoverlabel: { bgcolor: "var(--panel)", bordercolor: "var(--line)", font: { color: "var(--ink)" } },
    hovermode: "closest",
    barcornerradius: 3,
  };
  const CONFIG = { displayModeBar: false, responsive: true, displaylogo: false };

  // plotly.js lies in the page compressed, and is unpacked once, when the first picture is seen:
  // running it takes longer than all the rest, and the page can be read before.
  async function unpack() {
    const packed = atob(document.getElementById("plotly").textContent);
    const bytes = Uint8Array.from(packed, (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.head.append(script);
  }
  let unpacked;
  const plotly = () => (unpacked ??= unpack());

  // A spec is {traces, layout, config?, narrow?}: `narrow` overrides the layout on a phone.
  async function plot(element, spec) {
    await plotly();
    let layout = merged(LAYOUT, spec.layout);
    if (narrow.matches && spec.narrow) layout = merged(layout, spec.narrow);
    for (const name of Object.keys(layout)) {
      if (/^[xy]axis\d*$/.test(name)) layout[name] = merged(AXIS, layout[name]);
    }
    if (layout.dragmode === undefined && touch.matches) layout.dragmode = false; // scrolls the page
    return Plotly.react(element, coloured(spec.traces), coloured(layout), { ...CONFIG, ...spec.config });
  }
  Report.plot = plot;

  for (const element of document.querySelectorAll(".plot")) {
    const source = element.querySelector("script");
    if (!source) continue; // drawn by the script of its section
    const spec = JSON.parse(source.textContent);
    const canvas = element.appendChild(document.createElement("div"));
    canvas.className = "canvas";
    let drawn = false;
    Report.whenVisible(element, () => {
      plot(canvas, spec);
      drawn = true;
    });
    Report.onTheme(() => drawn && plot(canvas, spec));
  }
})();
