// Draws every chart as wide as its place, again when that changes. Colours are variables of the
// style sheet: dark screens and paper need no redrawing.
(() => {
  "use strict";
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const charts = read("charts");
  const rows = ({ columns, rows }) =>
    rows.map((row) => Object.fromEntries(row.map((value, at) => [columns[at], value])));
  const datasets = Object.fromEntries(Object.entries(read("datasets"))
    .map(([name, data]) => [name, data.columns ? rows(data) : data]));
  const places = [...document.querySelectorAll("[data-chart]")];
  const drawn = new Map();

  const theme = () => {
    const color = (name) => `var(--${name})`;
    const text = { labelColor: color("soft"), titleColor: color("soft") };
    const font = getComputedStyle(document.body).fontFamily;
    return {
      background: null,
      font,
      axis: {
        ...text, gridColor: color("grid"), domainColor: color("border"),
        tickColor: color("border"), titleFontWeight: "normal", labelFontSize: 11,
      },
      legend: { ...text, titleFontWeight: "normal", titleLimit: 280, labelLimit: 280 },
      title: { color: color("soft"), fontSize: 12, fontWeight: "normal" },
      view: { stroke: null },
      text: { color: color("ink") },
      rule: { color: color("soft") },
      geoshape: { fill: color("land"), stroke: color("border"), strokeWidth: 0.8 },
    };
  };

  // A chart says "container" for the width of its place, and may say so in several panels.
  const filled = (value, width, names) => {
    if (Array.isArray(value)) return value.map((item) => filled(item, width, names));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => {
      if (key === "name" && Object.hasOwn(datasets, item)) names.add(item);
      const wide = key === "width" && item === "container";
      return [key, wide ? width : filled(item, width, names)];
    }));
  };

  const draw = async (place) => {
    const key = place.dataset.chart;
    const names = new Set();
    const spec = filled(charts[key], place.clientWidth, names);
    delete spec.config;
    if (spec.projection) spec.view = { fill: "var(--paper)" };
    if (spec.usermeta?.aspect) spec.height = Math.round(place.clientWidth * spec.usermeta.aspect);
    spec.autosize = { type: spec.vconcat ? "pad" : "fit-x", contains: "padding" };
    if (spec.vconcat) spec.vconcat.forEach((panel) => { panel.width -= 76; });
    spec.padding = { left: spec.vconcat ? 0 : 10, right: 6, top: 12, bottom: 4 };
    spec.description = place.dataset.description;
    const shared = [...names].map((name) => [name, datasets[name]]);
    spec.datasets = { ...spec.datasets, ...Object.fromEntries(shared) };
    drawn.get(place)?.finalize();
    const options = { actions: false, ast: true, config: theme(), renderer: "svg" };
    drawn.set(place, await vegaEmbed(place, spec, options));
  };

  const drawAll = async () => {
    for (const place of places) await draw(place);
    document.documentElement.dataset.drawn = String(places.length);
  };

  let width = window.innerWidth;
  let waiting;
  window.addEventListener("resize", () => {
    if (window.innerWidth === width) return;
    width = window.innerWidth;
    clearTimeout(waiting);
    waiting = setTimeout(drawAll, 150);
  });
  drawAll();
})();
