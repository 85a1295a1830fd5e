/** Money: what the models have cost today and this month, against their budgets. */

import { api } from "../api.js";
import { el } from "../dom.js";
import { headline, meter } from "../figures.js";
import { clock, count, dollars, known, percent } from "../format.js";
import { Page, panel, said } from "../page.js";
import { table } from "../table.js";

const NEAR = 0.8;
const DEAREST = 20;
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

const modelDayColumns = [
  { name: "Day", cell: (row) => row.day },
  { name: "Provider", cell: (row) => row.provider },
  { name: "Model", cell: (row) => el("span", { class: "mono" }, row.model || "–") },
  { name: "Reasons", kind: "number", cell: (row) => count(row.calls) },
  { name: "Tokens in", kind: "number", cell: (row) => count(row.tokens_in) },
  { name: "Tokens out", kind: "number", cell: (row) => count(row.tokens_out) },
  { name: "Cost", kind: "number", cell: (row) => dollars(row.cost) },
];

const dearestColumns = [
  { name: "Signal", cell: (row) => el("a", { class: "strong", href: `#/signal/${encodeURIComponent(row.signal)}`, dataset: { key: row.signal } }, row.symbol) },
  { name: "Provider", cell: (row) => row.provider },
  { name: "Model", cell: (row) => el("span", { class: "mono" }, row.model || "–") },
  { name: "Tokens in", kind: "number", cell: (row) => count(row.tokens_in) },
  { name: "Tokens out", kind: "number", cell: (row) => count(row.tokens_out) },
  { name: "Cost", kind: "number", cell: (row) => dollars(row.cost) },
];

/** What the archive has of the last thirty days of the data; null while it does not answer: the rest is shown all the same. */
async function history(signal) {
  try {
    const [days, signals] = await Promise.all([api.spendDays(signal), api.spendSignals({ limit: DEAREST }, signal)]);
    return { days, signals };
  } catch (error) {
    if (error.status !== 503) throw error;
    return null;
  }
}

function archived(past) {
  const head = el("h2", { class: "section" }, "Reasons of the last thirty days of the data");
  if (past === null) return [head, said("The archive does not answer now", "It is asked again every few seconds.")];
  if (!past.days.length) return [];
  return [
    head,
    table("model-days", "What reasons cost, by day, provider and model", modelDayColumns, [...past.days].reverse()),
    table("dearest", "The signals whose reasons cost most", dearestColumns, past.signals),
  ];
}

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
    this.follow(
      async (signal) => {
        const [spend, past] = await Promise.all([api.spend(signal), history(signal)]);
        return { spend, past };
      },
      ({ spend, past }) => this.#show(spend, past),
    );
  }

  #show(spend, past) {
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
      ...archived(past),
    );
  }
}
