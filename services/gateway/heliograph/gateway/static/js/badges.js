/** The small marks that several views share. */

import { el } from "./dom.js";
import { signed } from "./format.js";

const RESULTS = { win: "Won", loss: "Lost", expired: "Expired" };

/** BUY or SELL with an arrow, so that colour is not the only sign. */
export function side(action) {
  const buy = action === "BUY";
  return el("span", { class: `side side-${buy ? "buy" : "sell"}` }, buy ? "▲ BUY" : "▼ SELL");
}

/** How the signal ended, or that it is open. */
export function outcomeBadge(outcome) {
  if (!outcome) return el("span", { class: "badge badge-open" }, "Open");
  return el("span", { class: `badge badge-${outcome.result}` }, RESULTS[outcome.result] ?? outcome.result);
}

/** Profit in percent and in R. */
export function profit(outcome) {
  const kind = outcome.pnl >= 0 ? "up" : "down";
  return el("span", { class: `profit ${kind}` }, `${signed(outcome.pnl, 2)} % · ${signed(outcome.r_multiple, 2)} R`);
}
