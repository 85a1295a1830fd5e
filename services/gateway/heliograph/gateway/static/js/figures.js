/** Figures in words and in small drawings that several pages share. */

import { el } from "./dom.js";
import { known, percent, signed } from "./format.js";

const clamp = (share) => Math.min(1, Math.max(0, share));
const at = (share) => `${100 * clamp(share)}%`;

/** The chief figures of a page: [term, value, kind?, explanation?] each. */
export function headline(rows) {
  const figure = ([term, value, kind, title]) =>
    el("div", { class: "figure", title: title ?? null }, el("dt", {}, term), el("dd", { class: kind ?? null }, value));
  return el("dl", { class: "headline panel" }, ...rows.map(figure));
}

/** A share with its interval: a line from low to high, a tick where the share is; all 0 to 1. */
export function interval(share, low, high, label) {
  if (share === null || share === undefined) return el("span", { class: "faint" }, "–");
  const line = el("span", { class: "interval-line" });
  line.style.left = at(low);
  line.style.width = at(high - low);
  const tick = el("span", { class: "interval-tick" });
  tick.style.left = at(share);
  const told = `${label} ${percent(share, 1)}, between ${percent(low, 1)} and ${percent(high, 1)} with 95 % confidence`;
  return el(
    "span",
    { class: "interval-cell", title: told },
    el("span", { class: "interval-number" }, percent(share, 1)),
    el("span", { class: "interval", role: "img", "aria-label": told }, line, tick),
  );
}

/** A bar that is filled to a share; `kind` names its colour. */
export function meter(share, label, kind = "") {
  const fill = el("span", { class: `gauge-fill ${kind}` });
  fill.style.width = at(share);
  return el("span", { class: "gauge", role: "img", "aria-label": label }, fill);
}

/** A number that is good above zero and bad below; one that is shown as zero is neither. */
export function gain(value, decimals, unit = "") {
  return known(value, (number) => {
    const shown = Number(number.toFixed(decimals));
    const kind = shown === 0 ? null : shown > 0 ? "up" : "down";
    return el("span", { class: kind }, `${signed(number, decimals)}${unit}`);
  });
}
