/** How well the confidence agrees with what came: for each strategy its figures, diagram and curve. */

import { api } from "../api.js";
import { draw, el } from "../dom.js";
import { headline } from "../figures.js";
import { count, date, known, signed } from "../format.js";
import { Page, panel, said } from "../page.js";
import { curvePlot, reliabilityDiagram } from "../reliability.js";
import { table } from "../table.js";

const share = (value) => known(value, (number) => `${number.toFixed(1)} %`);
const span = (bin) => known(bin.win_low, (low) => `${low.toFixed(1)} to ${bin.win_high.toFixed(1)} %`);
const score = (value) => known(value, (number) => number.toFixed(4));

const binColumns = [
  { name: "Forecast", cell: (bin) => `${bin.low.toFixed(0)} to ${bin.high.toFixed(0)} %` },
  { name: "Signals", kind: "number", cell: (bin) => count(bin.count) },
  { name: "Mean forecast", kind: "number", cell: (bin) => share(bin.forecast) },
  { name: "Came true", kind: "number", cell: (bin) => share(bin.win_rate) },
  { name: "95 % interval", kind: "number", cell: span },
];

const change = (before, after) => (before && after ? `${signed(100 * (after / before - 1), 1)} %` : "–");

/** The figures to show: of signals published calibrated, or those of the trial while none of these has ended. */
export function chosen(entry) {
  const { published, trial } = entry;
  if (published?.calibrated?.count) {
    return {
      raw: published.raw,
      calibrated: published.calibrated,
      origin: `Signals that went out calibrated and ended in the last ${entry.days} days of event time. Each was foretold before it happened.`,
    };
  }
  return {
    raw: trial.raw,
    calibrated: trial.candidate,
    origin: "No signal that went out calibrated has ended yet: these are the figures of the version's trial, on outcomes that did not train it.",
  };
}

function key(kind, text) {
  return el("span", { class: `plot-key ${kind}` }, text);
}

function scores(raw, calibrated) {
  const rows = [
    { name: "Brier score", field: "brier", title: "mean of (p − won)², 0 is best" },
    { name: "Calibration error", field: "ece", title: "distance of forecast and real win rate over 15 bins" },
    { name: "Log loss", field: "log_loss", title: "−mean ln p of what happened" },
    { name: "Mean forecast", field: "forecast", write: share },
    { name: "Came true", field: "win_rate", write: share },
  ];
  const write = (row, figures) => (row.write ?? score)(figures?.[row.field]);
  return table("scores", "Scores, raw and calibrated", [
    { name: "Score", cell: (row) => el("span", { title: row.title ?? null }, row.name) },
    { name: "Raw", kind: "number", cell: (row) => write(row, raw) },
    { name: "Calibrated", kind: "number", cell: (row) => write(row, calibrated) },
    { name: "Change", kind: "number", cell: (row) => (row.write ? "" : change(raw?.[row.field], calibrated?.[row.field])) },
  ], rows);
}

function strategy(entry) {
  const { raw, calibrated, origin } = chosen(entry);
  const series = [
    { kind: "raw", name: "Raw confidence", bins: raw?.bins ?? [] },
    { kind: "calibrated", name: "Calibrated", bins: calibrated?.bins ?? [] },
  ];
  const diagram = reliabilityDiagram(series);
  if (entry.raw.length) diagram.append(draw("g", {}, draw("title", {}, "The curve from raw confidence to probability"), ...curvePlot(entry.raw, entry.win)));
  const bins = (calibrated?.bins ?? []).filter((bin) => bin.count);
  return el(
    "section",
    { class: "stack", "aria-label": `Strategy ${entry.strategy}` },
    el("h2", { class: "section" }, entry.strategy),
    headline([
      ["version", el("span", { class: "mono" }, entry.version)],
      ["outcomes it saw", count(entry.outcomes)],
      ["from", date(entry.since)],
      ["to", date(entry.until)],
      ["symbols with their own curve", count(entry.symbols)],
      ["candidates refused since", count(entry.refused)],
    ]),
    el("p", { class: "lead" }, origin),
    el(
      "div",
      { class: "halves" },
      panel(
        "Reliability",
        diagram,
        el("p", { class: "plot-keys" }, key("raw", "raw"), key("calibrated", "calibrated"), key("curve", "raw → probability"), key("diagonal", "perfect")),
      ),
      el("div", { class: "stack" }, scores(raw, calibrated), table("bins", "Calibrated forecasts by bin", binColumns, bins)),
    ),
  );
}

export default class CalibrationView extends Page {
  constructor() {
    super("Calibration", {
      everyMs: 15_000,
      lead: "A signal's confidence is its calibrated probability of a win. Points on the diagonal: what was foretold came as often as foretold.",
    });
    this.follow((signal) => api.calibration(signal), (found) => this.#show(found));
  }

  #show({ calibrations }) {
    if (!calibrations.length) {
      this.body.replaceChildren(said("No calibration is in use yet", "The first is learned after 100 outcomes; until then the raw confidence passes through."));
      return;
    }
    this.body.replaceChildren(...calibrations.map(strategy));
  }
}
