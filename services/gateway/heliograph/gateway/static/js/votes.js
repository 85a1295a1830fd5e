/** The votes of a signal and how they add up: |Σ w·d·c| × the regime's multiplier → raw confidence. */

import { el } from "./dom.js";
import { percent, signed } from "./format.js";

const CAP = 98;
const DIRECTIONS = { "-1": "short", 0: "neutral", 1: "long" };

const fill = (direction) => (direction > 0 ? "fill-up" : direction < 0 ? "fill-down" : "");
const contribution = (vote) => vote.weight * vote.direction * vote.confidence;

/** The sum of the weighted votes, and the multiplier that leads from it to the raw confidence. */
export function addUp(signal) {
  const sum = signal.votes.reduce((total, vote) => total + contribution(vote), 0);
  const strength = 100 * Math.abs(sum);
  return {
    sum,
    multiplier: strength > 0 ? signal.raw_confidence / strength : 0,
    capped: signal.raw_confidence >= CAP,
  };
}

/** Whether the confidence is a probability that outcomes have taught, or still the strength of the votes. */
export const isCalibrated = ({ calibration }) => Boolean(calibration) && calibration !== "none";

/** The sum as text. */
export function sumText(signal) {
  const { sum, multiplier, capped } = addUp(signal);
  const factor = capped ? "capped" : `× ${multiplier.toFixed(2)}`;
  return `Σ ${signed(sum, 2)} ${factor} → ${signal.raw_confidence.toFixed(1)}`;
}

/** A strip: each vote as wide as its weight, filled to its confidence. */
export function voteStrip(signal) {
  const parts = signal.votes.map((vote) => {
    const inner = el("span", { class: `strip-fill ${fill(vote.direction)}` });
    inner.style.width = `${100 * vote.confidence}%`;
    const part = el("span", { class: "strip-vote", title: spoken(vote) }, inner);
    part.style.flexGrow = String(vote.weight);
    part.style.flexBasis = "0";
    return part;
  });
  const label = `Votes: ${signal.votes.map(spoken).join("; ")}`;
  return el("span", { class: "strip", role: "img", "aria-label": label }, ...parts);
}

function spoken(vote) {
  return `${vote.source} ${DIRECTIONS[vote.direction]} ${percent(vote.confidence)}, weight ${vote.weight.toFixed(2)}`;
}

function axis(vote, widest) {
  const reach = (50 * vote.weight) / widest;
  const length = reach * vote.confidence;
  const place = (node, width) => {
    node.style.width = `${width}%`;
    if (vote.direction < 0) node.style.right = "50%";
    else if (vote.direction > 0) node.style.left = "50%";
    else node.style.left = `${50 - width / 2}%`;
    return node;
  };
  return el(
    "div",
    { class: "axis", "aria-hidden": "true" },
    place(el("div", { class: "axis-reach" }), reach),
    place(el("div", { class: `axis-fill ${fill(vote.direction)}` }), length),
  );
}

/** The table of votes, the strongest first, and their sum below. */
export function voteTable(signal) {
  const widest = Math.max(...signal.votes.map((vote) => vote.weight), Number.EPSILON);
  const ordered = [...signal.votes].sort((a, b) => Math.abs(contribution(b)) - Math.abs(contribution(a)));
  const rows = ordered.map((vote) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, vote.source),
      el("td", { class: "bar-cell" }, axis(vote, widest)),
      el("td", {}, vote.weight.toFixed(2)),
      el("td", {}, vote.confidence.toFixed(2)),
      el("td", {}, vote.direction ? signed(contribution(vote), 3) : "0.000"),
    ),
  );
  const heads = [["Source"], ["Strength", "bar-cell"], ["Weight"], ["Conf."], ["Part"]];
  const head = heads.map(([name, kind]) => el("th", { scope: "col", class: kind ?? null }, name));
  const { sum, multiplier, capped } = addUp(signal);
  const factor = capped ? `capped at ${CAP}` : `× ${multiplier.toFixed(2)} (${signal.regime})`;
  return [
    el("table", { class: "votes" }, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...rows)),
    el(
      "p",
      { class: "adding" },
      el("span", {}, "Σ w·d·c ", el("strong", {}, signed(sum, 3))),
      el("span", {}, factor),
      el("span", {}, "raw ", el("strong", {}, signal.raw_confidence.toFixed(2))),
    ),
  ];
}
