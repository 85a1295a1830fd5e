/** The reliability diagram: what was forecast against what came true, each bin with its interval. */

import { draw } from "./dom.js";

const SIZE = 440;
const MARGIN = { left: 44, right: 18, top: 12, bottom: 40 };
const TICKS = [0, 20, 40, 60, 80, 100];
const LARGEST = 9;
const SMALLEST = 3;

const x = (percent) => MARGIN.left + (percent / 100) * (SIZE - MARGIN.left - MARGIN.right);
const y = (percent) => SIZE - MARGIN.bottom - (percent / 100) * (SIZE - MARGIN.top - MARGIN.bottom);
const filled = (bins) => bins.filter((bin) => bin.count > 0);

function frame() {
  const lines = TICKS.flatMap((tick) => [
    draw("line", { class: "plot-grid", x1: x(0), x2: x(100), y1: y(tick), y2: y(tick) }),
    draw("text", { class: "plot-text", x: x(0) - 8, y: y(tick) + 4, "text-anchor": "end" }, String(tick)),
    draw("text", { class: "plot-text", x: x(tick), y: y(0) + 18, "text-anchor": "middle" }, String(tick)),
  ]);
  return [
    ...lines,
    draw("line", { class: "plot-diagonal", x1: x(0), y1: y(0), x2: x(100), y2: y(100) }),
    draw("text", { class: "plot-text", x: x(50), y: SIZE - 4, "text-anchor": "middle" }, "forecast, %"),
    draw("text", { class: "plot-text", x: x(2), y: y(96) }, "came true, %"),
  ];
}

function dot(kind, bin, most) {
  const radius = SMALLEST + (LARGEST - SMALLEST) * Math.sqrt(bin.count / most);
  const told = `${bin.count} signals, forecast ${bin.forecast.toFixed(1)} %, came true ${bin.win_rate.toFixed(1)} %`;
  const whisker = bin.win_low === null || bin.win_low === undefined
    ? []
    : [draw("line", { class: `plot-whisker ${kind}`, x1: x(bin.forecast), x2: x(bin.forecast), y1: y(bin.win_low), y2: y(bin.win_high) })];
  return draw("g", {}, draw("title", {}, told), ...whisker, draw("circle", { class: `plot-dot ${kind}`, cx: x(bin.forecast), cy: y(bin.win_rate), r: radius }));
}

/**
 * Draw series of bins.
 * @param {{kind: string, name: string, bins: object[]}[]} series `kind` names the colour
 */
export function reliabilityDiagram(series) {
  const most = Math.max(1, ...series.flatMap(({ bins }) => bins.map((bin) => bin.count)));
  const dots = series.flatMap(({ kind, bins }) => filled(bins).map((bin) => dot(kind, bin, most)));
  const told = series.map(({ name, bins }) => `${name}: ${filled(bins).length} bins`).join("; ");
  return draw(
    "svg",
    { class: "plot", viewBox: `0 0 ${SIZE} ${SIZE}`, role: "img", "aria-label": `Reliability diagram. ${told}. The table has the figures.` },
    ...frame(),
    ...dots,
  );
}

/** The curve that leads from raw confidence to probability, as steps between its breakpoints. */
export function curvePlot(raw, win) {
  const path = raw.map((value, index) => `${index ? "L" : "M"}${x(value).toFixed(1)} ${y(win[index]).toFixed(1)}`).join(" ");
  const first = `M${x(0)} ${y(win[0]).toFixed(1)} L${x(raw[0]).toFixed(1)} ${y(win[0]).toFixed(1)}`;
  const last = `M${x(raw.at(-1)).toFixed(1)} ${y(win.at(-1)).toFixed(1)} L${x(100)} ${y(win.at(-1)).toFixed(1)}`;
  return [draw("path", { class: "plot-curve", d: path }), draw("path", { class: "plot-curve beyond", d: `${first} ${last}` })];
}
