"use strict";
// The long-tail curve, and the gain of one method over another in every class.
(() => {
  const { names, counts, shots, methods, clips } = Report.data("data-classes");
  const places = names.map((name, i) => i);
  const percent = (values) => values.map((value) => (value === null ? null : 100 * value));
  const shortened = names.map((name) => (name.length > 18 ? `${name.slice(0, 17)}…` : name));
  const { plain } = Report;
  const titles = names.map(plain);
  const AXIS = {
    range: [-0.7, names.length - 0.3],
    showgrid: false,
    tickvals: names.length <= 60 ? places : [],
    ticktext: shortened.map(plain),
    tickangle: -45,
    zeroline: false,
  };
  const UNNAMED = { tickvals: [], title: { text: "classes, the most frequent first" } };
  const xaxis = names.length <= 60 ? AXIS : { ...AXIS, ...UNNAMED };
  const narrow = { xaxis: { ...UNNAMED } };

  function curve() {
    const marks = methods.flatMap((method) => [
      {
        name: plain(method.name),
        legendgroup: method.name,
        x: places,
        y: percent(method.accuracies),
        text: titles,
        mode: "markers",
        marker: { color: method.colour, symbol: method.symbol, size: 7, opacity: 0.75 },
        hovertemplate: "%{text}: <b>%{y:.1f} %</b>",
      },
      {
        name: plain(method.name),
        legendgroup: method.name,
        showlegend: false,
        x: places,
        y: percent(method.trend),
        mode: "lines",
        line: { color: method.colour, width: 2.5, shape: "spline" },
        hoverinfo: "skip",
      },
    ]);
    const bars = {
      type: "bar",
      name: "training clips",
      showlegend: false,
      x: places,
      y: counts,
      yaxis: "y2",
      text: titles,
      textposition: "none",
      marker: { color: shots.map((shot) => `var(--${shot})`) },
      hovertemplate: "%{text}: %{y} training clips",
    };
    const wide = Math.max(...counts) > 30 * Math.min(...counts);
    const layout = {
      xaxis: { ...xaxis, anchor: "y2" },
      yaxis: { domain: [0.36, 1], range: [-3, 103], title: { text: "accuracy (%)" }, zeroline: false },
      yaxis2: {
        domain: [0, 0.28],
        type: wide ? "log" : "linear",
        dtick: wide ? 1 : undefined,
        title: { text: "training clips" },
      },
      bargap: 0.15,
      showlegend: methods.length > 1,
    };
    Report.plot(document.getElementById("classes-curve"), {
      traces: [...marks, bars],
      layout,
      narrow: { ...narrow, yaxis2: { title: { text: "clips" } } },
    });
  }

  const signed = (value) => {
    const text = Math.abs(100 * value).toFixed(1);
    return text === "0.0" ? text : (value > 0 ? "+" : "−") + text;
  };

  function chosen() {
    const [to, from] = ["classes-method", "classes-baseline"].map(
      (id) => methods[document.getElementById(id).value],
    );
    const gains = to.accuracies.map((value, i) =>
      value === null || from.accuracies[i] === null ? null : value - from.accuracies[i],
    );
    return { to, from, gains };
  }
  function gain() {
    const { to, from, gains } = chosen();
    const trace = {
      type: "bar",
      x: places,
      y: percent(gains),
      text: titles,
      textposition: "none",
      marker: { color: gains.map((value) => (value < 0 ? from.colour : to.colour)) },
      hovertemplate: "%{text}: <b>%{y:+.1f}</b> points<extra></extra>",
    };
    const layout = { xaxis, yaxis: { title: { text: "gain (points)" } }, bargap: 0.15 };
    Report.plot(document.getElementById("classes-gain"), { traces: [trace], layout, narrow });
  }
  const cells = new Map();
  function fillTable() {
    const { to, from, gains } = chosen();
    gains.forEach((value, i) => {
      const cell = cells.get(i);
      cell.dataset.value = value === null ? "" : value;
      cell.textContent = value === null ? "n/a" : signed(value);
    });
    const known = gains.filter((value) => value !== null);
    const better = known.filter((value) => value > 0).length;
    const worse = known.filter((value) => value < 0).length;
    document.getElementById("classes-balance").textContent =
      `${to.name} is better than ${from.name} in ${better} classes, worse in ${worse} and equal ` +
      `in ${known.length - better - worse}. A class has ${clips} test clips (median), so that one ` +
      `clip is ${(100 / Math.max(clips, 1)).toFixed(1)} points.`;
  }

  let curveDrawn = false;
  Report.whenVisible(document.getElementById("classes-curve"), () => {
    curveDrawn = true;
    curve();
  });
  Report.onTheme(() => curveDrawn && curve());
  if (methods.length > 1) {
    document.querySelectorAll("#classes-table .gain-cell").forEach((cell, i) => cells.set(i, cell));
    const element = document.getElementById("classes-gain");
    let drawn = false;
    fillTable();
    Report.whenVisible(element, () => {
      drawn = true;
      gain();
    });
    Report.onTheme(() => drawn && gain());
    for (const id of ["classes-method", "classes-baseline"]) {
      document.getElementById(id).addEventListener("change", () => {
        fillTable();
        if (drawn) gain();
      });
    }
  }
})();
