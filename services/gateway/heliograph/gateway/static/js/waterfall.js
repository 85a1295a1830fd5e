/** A trace as a waterfall: one row a span, in order of start. Long waits between spans are cut short. */

import { el } from "./dom.js";
import { duration } from "./format.js";

const CUT = 0.05; // width of a cut, as a share of the time at work

/**
 * Where each moment lies, 0 to 1, when waits longer than a cut are drawn as one: an outcome may come weeks later.
 * @returns {{place: (ns: number) => number, cuts: {at: number, length: number}[]}}
 */
export function timeScale(spans) {
  const work = busy(spans);
  const total = work.reduce((sum, [start, end]) => sum + end - start, 0) || 1;
  const cuts = [];
  const stops = [];
  let drawn = 0;
  work.forEach(([start, end], index) => {
    if (index) {
      const wait = start - work[index - 1][1];
      const width = Math.min(wait, CUT * total);
      if (wait > width) cuts.push({ at: drawn + width / 2, length: wait });
      drawn += width;
    }
    stops.push({ start, end, drawn });
    drawn += end - start;
  });
  const place = (ns) => {
    const stop = stops.findLast((each) => each.start <= ns) ?? stops[0];
    return (stop.drawn + Math.min(ns, stop.end) - stop.start) / drawn;
  };
  return { place: drawn > 0 ? place : () => 0, cuts: cuts.map(({ at, length }) => ({ at: at / drawn, length })) };
}

/** The stretches of time in which some span was at work. */
function busy(spans) {
  const merged = [];
  for (const { start_ns: start, end_ns: end } of [...spans].sort((a, b) => a.start_ns - b.start_ns)) {
    const last = merged.at(-1);
    if (last && start <= last[1]) last[1] = Math.max(last[1], end);
    else merged.push([start, Math.max(start, end)]);
  }
  return merged;
}

const at = (node, share) => {
  node.style.left = `${100 * share}%`;
  return node;
};

function spanRow(span, begin, { place, cuts }) {
  const bar = at(el("div", { class: `span-bar service-${span.service}` }), place(span.start_ns));
  bar.style.width = `${100 * (place(span.end_ns) - place(span.start_ns))}%`;
  const failed = span.status === "error";
  const told = Object.entries(span.attributes).map(([key, value]) => `${key}: ${value}`);
  return el(
    "li",
    { class: "span-row", title: told.join("\n"), dataset: failed ? { failed: "" } : {} },
    el(
      "span",
      { class: "span-name" },
      el("span", { class: `swatch service-${span.service}`, "aria-hidden": "true" }),
      el("span", {}, el("span", { class: "faint span-service" }, `${span.service} `), span.name, failed ? " (failed)" : ""),
    ),
    el("div", { class: "span-track", "aria-hidden": "true" }, ...cuts.map((cut) => at(el("i", { class: "span-cut" }), cut.at)), bar),
    el("span", { class: "span-begin faint" }, `+${duration(span.start_ns - begin)}`),
    el("span", { class: "span-time" }, duration(span.end_ns - span.start_ns)),
  );
}

/** The waterfall of some spans, at least one. */
export function waterfall(spans) {
  const ordered = [...spans].sort((a, b) => a.start_ns - b.start_ns || b.end_ns - a.end_ns);
  const scale = timeScale(ordered);
  const begin = ordered[0].start_ns;
  const rows = ordered.map((span) => spanRow(span, begin, scale));
  const waited = scale.cuts.reduce((sum, cut) => sum + cut.length, 0);
  const heads = ["Span", waited ? `each gap: a wait, ${duration(waited)} in all` : "", "begins", "takes"];
  return el(
    "div",
    {},
    el("div", { class: "span-scale", "aria-hidden": "true" }, ...heads.map((text) => el("span", {}, text))),
    el("ol", { class: "waterfall", "aria-label": "Spans in order of start" }, ...rows),
  );
}
