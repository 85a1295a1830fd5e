/** Money: what the models have cost today and this month, against their budgets. */

import { api } from "../api.js";
import { el } from "../dom.js";
import { headline, meter } from "../figures.js";
import { clock, count, dollars, known, percent } from "../format.js";
import { Page, panel, said } from "../page.js";
import { table } from "../table.js";

const NEAR = 0.8;
const purposes = (row) => Object.entries(row.purposes ?? {}).map(([name, use]) => `${name} ${dollars(use.cost)}`).join(", ");

const providerColumns = [
  { name: "Provider", cell: (row) => row.provider },
  { name: "Model", cell: (row) => el("span", { class: "mono" }, row.model || "–") },
  { name: "Calls", kind: "number", cell: (row) => count(row.calls) },
  { name: "Cached", kind: "number", cell: (row) => count(row.cached) },
  { name: "Failed", kind: "number", cell: (row) => count(row.failures) },
  { name: "Tokens in", kind: "number", cell: (row) => count(row.tokens_in) },
  { name: "Tokens out", kind: "number", cell: (row) => count(row.tokens_out) },
  { name: "Cost", kind: "number", cell: (row) => dollars(row.cost) },
  { name: "p95", kind: "number", cell: (row) => known(row.p95_s, (seconds) => `${seconds.toFixed(2)} s`) },
  { name: "Breaker", cell: (row) => row.breaker },
  { name: "For", cell: (row) => purposes(row) || "–" },
];

const dayColumns = [
  { name: "Day", cell: (row) => row.day },
  { name: "Calls", kind: "number", cell: (row) => count(row.calls) },
  { name: "Signals explained", kind: "number", cell: (row) => count(row.signals) },
  { name: "Cost", kind: "number", cell: (row) => dollars(row.total) },
];

function budget({ name, limit, reserved, spent, left, resets_ts: resets }) {
  const share = limit > 0 ? (spent + reserved) / limit : 1;
  const told = `${name}: ${dollars(spent)} spent and ${dollars(reserved)} held of ${dollars(limit)}`;
  return el(
    "div",
    { class: "budget" },
    el("div", { class: "budget-head" }, el("strong", {}, name), el("span", {}, `${dollars(spent)} of ${dollars(limit)}`)),
    meter(share, told, share >= 1 ? "bad" : share >= NEAR ? "warn" : ""),
    el("p", { class: "faint" }, `${dollars(left)} left, ${dollars(reserved)} held for calls under way; begins anew at ${clock(resets)} UTC`),
  );
}

export default class SpendView extends Page {
  constructor() {
    super("Spend");
    this.follow((signal) => api.spend(signal), (found) => this.#show(found));
  }

  #show(spend) {
    const { month } = spend;
    this.note.textContent = `${spend.day}, US dollars`;
    const nothing = said("No model is configured", "Reasons come from templates and the panel judges by rules: both cost nothing. With a provider's key its budget shows here.");
    this.body.replaceChildren(
      spend.alone ? el("p", { class: "stale", role: "alert" }, "Redis is away: this is what one replica knows, and it spends its own share only.") : "",
      headline([
        ["today", dollars(spend.total)],
        ["a signal today", known(spend.cost_per_signal, dollars)],
        ["signals explained", count(spend.signals)],
        ["calls a signal", known(spend.calls_per_signal, (calls) => calls.toFixed(2))],
        ["answered without a call", known(spend.hit_rate, (rate) => percent(rate, 1))],
        [`month ${month.month}`, dollars(month.total)],
        ["a signal this month", known(month.cost_per_signal, dollars)],
      ]),
      spend.budgets.length ? panel("Budgets", ...spend.budgets.map(budget)) : nothing,
      spend.providers.length ? table("providers", "Providers today", providerColumns, spend.providers) : "",
      el("h2", { class: "section" }, "Days of the month"),
      month.days.length ? table("days", "Days of the month", dayColumns, [...month.days].reverse()) : said("No day of this month has cost anything", ""),
    );
  }
}
