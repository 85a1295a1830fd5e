/** One signal in the list. */

import { outcomeBadge, profit, side } from "../badges.js";
import { el } from "../dom.js";
import { clock, date, price } from "../format.js";
import { isCalibrated, sumText, voteStrip } from "../votes.js";

function cell(name, ...children) {
  return el("div", { class: `row-${name}` }, ...children);
}

function prices(record) {
  const pair = (term, value) => el("div", {}, el("dt", {}, term), el("dd", {}, price(value)));
  const list = [pair("entry", record.entry), pair("stop", record.stop), pair("target", record.target)];
  return el("dl", { class: "prices" }, ...list);
}

function chance(record) {
  const { confidence } = record;
  const calibrated = isCalibrated(record);
  const fill = el("div", { class: calibrated ? "meter-fill" : "meter-fill meter-raw" });
  fill.style.width = `${confidence}%`;
  const meaning = calibrated ? "Probability of a win, learned from outcomes" : "Strength of the votes; no outcomes have calibrated it yet";
  return [
    el("span", { class: "chance", title: meaning }, confidence.toFixed(1), el("span", { class: "chance-kind" }, calibrated ? " %" : " raw")),
    el("span", { class: "chance-word" }, " confidence"),
    el("div", { class: "meter", "aria-hidden": "true" }, fill),
  ];
}

/** The row of a signal: a link to its page. */
export function signalRow(record) {
  const outcome = cell("outcome", outcomeBadge(record.outcome), record.outcome ? profit(record.outcome) : null);
  return el(
    "a",
    { class: "row", href: `#/signal/${encodeURIComponent(record.id)}`, dataset: { id: record.id } },
    cell("time", el("span", {}, date(record.ts)), el("span", { class: "faint" }, `${clock(record.ts)} · ${record.interval}`)),
    cell("symbol", el("span", { class: "symbol", title: record.symbol }, record.symbol), side(record.action)),
    cell("prices", prices(record)),
    cell("confidence", ...chance(record)),
    cell("votes", voteStrip(record), el("span", { class: "sum" }, sumText(record))),
    cell("regime", record.regime),
    cell("reason", el("span", { class: "reason" }, record.reason?.text ?? "The reason is being written.")),
    outcome,
  );
}
