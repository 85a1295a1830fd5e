/** What became of the signals: their sum over time, by kind, and one by one. */

import { api } from "../api.js";
import { outcomeBadge, side } from "../badges.js";
import { el } from "../dom.js";
import { EquityChart } from "../equity.js";
import { gain, headline } from "../figures.js";
import { count, date, known, moment, percent, price, signed } from "../format.js";
import { Page, fault, panel, said } from "../page.js";
import { table } from "../table.js";

const LIST = 50;
const MEASURES = {
  r: { name: "R, before costs", unit: "R", sum: "cumulative_net_r", day: "net_r" },
  pnl: { name: "percent, after costs", unit: "%", sum: "cumulative_pnl_net", day: "pnl_net" },
};

const groupColumns = (first) => [
  { name: first, cell: (group) => group.key },
  { name: "Signals", kind: "number", cell: (group) => count(group.signals) },
  { name: "Won", kind: "number", cell: (group) => count(group.wins) },
  { name: "Lost", kind: "number", cell: (group) => count(group.losses) },
  { name: "Expired", kind: "number", cell: (group) => count(group.expired) },
  { name: "Win rate", kind: "number", cell: (group) => known(group.win_rate, (rate) => percent(rate, 1)) },
  { name: "Mean R", kind: "number", cell: (group) => gain(group.r_multiple, 3) },
  { name: "After costs", kind: "number", cell: (group) => gain(group.pnl_net, 3, " %") },
  { name: "Profit factor", kind: "number", cell: (group) => known(group.profit_factor, (factor) => factor.toFixed(2)) },
];

const listColumns = [
  { name: "Signal", cell: (row) => el("a", { class: "strong", href: `#/signal/${encodeURIComponent(row.signal)}`, dataset: { key: row.signal } }, row.symbol) },
  { name: "Side", cell: (row) => side(row.action) },
  { name: "Ended", cell: (row) => date(row.ts) },
  { name: "How", cell: (row) => outcomeBadge(row) },
  { name: "Entry", kind: "number", cell: (row) => price(row.entry) },
  { name: "Exit", kind: "number", cell: (row) => price(row.exit) },
  { name: "R", kind: "number", cell: (row) => gain(row.r_multiple, 2) },
  { name: "After costs", kind: "number", cell: (row) => gain(row.pnl_net, 2, " %") },
  { name: "Bars", kind: "number", cell: (row) => count(row.bars) },
  { name: "Confidence", kind: "number", cell: (row) => known(row.confidence, (value) => value.toFixed(1)) },
  { name: "Grade", kind: "number", cell: (row) => known(row.grade, String) },
];

const openColumns = [
  { name: "Signal", cell: (row) => el("a", { class: "strong", href: `#/signal/${encodeURIComponent(row.signal)}`, dataset: { key: `open ${row.signal}` } }, row.symbol) },
  { name: "Side", cell: (row) => side(row.action) },
  { name: "Given", cell: (row) => date(row.opened) },
  { name: "Entry", kind: "number", cell: (row) => price(row.entry) },
  { name: "Stop", kind: "number", cell: (row) => price(row.stop) },
  { name: "Target", kind: "number", cell: (row) => price(row.target) },
  { name: "Last", kind: "number", cell: (row) => el("span", { title: `closed ${moment(row.ts)} UTC` }, price(row.last)) },
  { name: "R so far", kind: "number", cell: (row) => gain(row.r_multiple, 2) },
  { name: "So far", kind: "number", cell: (row) => gain(row.pnl, 2, " %") },
  { name: "Bars", kind: "number", cell: (row) => count(row.bars) },
];

/** The open signals, or null while their owner does not say how they stand: the rest of the page is shown all the same. */
async function standing(signal) {
  try {
    return await api.positions({ limit: LIST }, signal);
  } catch (error) {
    if (error.status !== 503) throw error;
    return null;
  }
}

export default class OutcomesView extends Page {
  #chart = null;
  #days = [];
  #measure = "r";
  #rows = new Map();
  #more = false;
  #query = { result: "", symbol: "" };

  constructor() {
    super("Outcomes", {
      everyMs: 10_000,
      lead: "Each signal counts once, at equal size. R is the result in units of what was risked; nothing is compounded.",
    });
    this.chart = el("div", { class: "chart equity", role: "img" });
    this.figures = el("div");
    this.curve = panel("Sum of results, and how far it lies under its highest point", this.#switch(), this.chart);
    this.groups = el("div", { class: "stack" });
    this.list = el("div", { class: "stack" });
    this.open = el("div", { class: "stack" });
    this.follow(
      async (signal) => {
        const [performance, outcomes, open] = await Promise.all([api.performance({}, signal), this.#newest(signal), standing(signal)]);
        return { performance, outcomes, open };
      },
      (found) => this.#show(found),
    );
  }

  close() {
    this.#chart?.remove();
    super.close();
  }

  redraw() {
    this.#chart?.remove();
    this.#chart = null;
    this.#draw();
  }

  async #newest(signal) {
    return (await api.outcomes({ limit: LIST, ...this.#query }, signal)).outcomes;
  }

  #show({ performance, outcomes, open }) {
    const { statistics: all } = performance;
    this.#days = performance.days;
    this.note.textContent = all ? `${count(all.outcomes)} of ${count(all.signals)} signals have ended` : "";
    this.open.replaceChildren(...stillOpen(open));
    if (!all?.outcomes) {
      this.body.replaceChildren(this.open, said("No signal has ended yet", "An outcome comes when a signal's stop or target is touched, or after 30 days."));
      return;
    }
    this.figures.replaceChildren(figures(all, performance.max_drawdown_r));
    const { by_regime: regimes, by_action: actions, by_bucket: buckets, by_strategy: strategies } = performance;
    const groups = [["Regime", regimes], ["Side", actions], ["Confidence", buckets], ["Strategy", strategies]];
    this.groups.replaceChildren(
      ...groups.filter(([, rows]) => rows?.length).map(([name, rows]) => table("groups", `By ${name.toLowerCase()}`, groupColumns(name), rows)),
    );
    if (!this.list.isConnected) this.body.replaceChildren(this.figures, this.curve, this.groups, this.open, this.#toolbar(), this.list);
    this.#take(outcomes);
    this.#draw();
  }

  #switch() {
    const choose = (name) => {
      this.#measure = name;
      for (const button of row.children) button.setAttribute("aria-pressed", String(button.dataset.key === name));
      this.redraw();
    };
    const button = ([name, { name: text }]) =>
      el("button", { class: "button", type: "button", "aria-pressed": String(name === "r"), dataset: { key: name }, onclick: () => choose(name) }, text);
    const row = el("div", { class: "switch", role: "group", "aria-label": "Unit" }, ...Object.entries(MEASURES).map(button));
    return row;
  }

  #draw() {
    const days = this.#days;
    if (!days.length || !this.chart.isConnected) return;
    const { unit, sum } = MEASURES[this.#measure];
    this.#chart ??= new EquityChart(this.chart, unit);
    this.#chart.show(days.map((day) => ({ ts: day.ts, sum: day[sum] })));
    this.chart.setAttribute("aria-label", `Sum of results over ${days.length} days, ${signed(days.at(-1)[sum], 2)} ${unit} at the end, and its drawdown`);
  }

  #toolbar() {
    const symbol = el("input", {
      class: "filter", type: "search", placeholder: "Symbol", "aria-label": "Outcomes of one symbol only", autocomplete: "off",
      spellcheck: "false", maxlength: "64", onchange: () => this.#choose({ symbol: symbol.value.trim().toUpperCase() }),
    });
    const options = [["", "All"], ["win", "Won"], ["loss", "Lost"], ["expired", "Expired"]];
    const result = el(
      "select",
      { class: "field", "aria-label": "How they ended", onchange: () => this.#choose({ result: result.value }) },
      ...options.map(([value, text]) => el("option", { value }, text)),
    );
    return el("div", { class: "toolbar" }, el("h2", { class: "section" }, "One by one, newest first"), symbol, result);
  }

  async #choose(change) {
    this.#query = { ...this.#query, ...change };
    this.#rows.clear();
    try {
      this.#take(await this.#newest(this.signal));
    } catch (error) {
      if (error.name !== "AbortError") this.list.replaceChildren(fault(error, () => this.#choose({})));
    }
  }

  /** The newest page: it is joined to what is shown where they meet, and stands alone where they do not. */
  #take(outcomes) {
    if (!outcomes.some(({ id }) => this.#rows.has(id))) {
      this.#rows.clear();
      this.#more = outcomes.length === LIST;
    }
    this.#add(outcomes);
  }

  #add(outcomes) {
    for (const row of outcomes) this.#rows.set(row.id, row);
    const rows = [...this.#rows.values()].sort((a, b) => b.ts - a.ts || (a.id < b.id ? 1 : -1));
    if (!rows.length) {
      this.list.replaceChildren(said("No such outcome", "Nothing has ended that way yet."));
      return;
    }
    const older = el("button", { class: "button", type: "button", dataset: { key: "older" }, onclick: () => this.#loadOlder(rows.at(-1), older) }, "Show older outcomes");
    this.list.replaceChildren(table("outcomes", "Outcomes, newest first", listColumns, rows), el("div", { class: "more", hidden: !this.#more }, older));
  }

  async #loadOlder(last, button) {
    try {
      const query = { limit: LIST, ...this.#query, before: BigInt(last.ts), before_id: last.id };
      const { outcomes } = await api.outcomes(query, this.signal);
      this.#more = outcomes.length === LIST;
      this.keepingFocus(() => this.#add(outcomes));
    } catch (error) {
      if (error.name !== "AbortError") button.textContent = `Show older outcomes (${error.message})`;
    }
  }
}

/** The open signals as they stand, with their sums; nothing where none is open. */
function stillOpen(open) {
  const head = el("h2", { class: "section" }, "Still open, newest first");
  if (open === null) return [head, said("How open signals stand is not known now", "The tracker does not answer; this is asked again every few seconds.")];
  if (!open.total) return [];
  const { total, ahead, missing_shards: missing, positions } = open;
  const sums = headline([
    ["still open", count(total)],
    ["ahead so far", count(ahead)],
    ["R so far, all of them", gain(open.r_multiple, 2)],
    ["mean so far, before costs", gain(open.pnl / total, 3, " %")],
  ]);
  const partly = missing.length ? el("p", { class: "stale", role: "alert" }, `Without shards ${missing.join(", ")}, whose owner does not answer.`) : "";
  const rest = total > positions.length ? el("p", { class: "faint" }, `The newest ${count(positions.length)} of ${count(total)}.`) : "";
  return [head, partly, sums, table("positions", "Open signals as they stand, newest first", openColumns, positions), rest];
}

function figures(all, drawdown) {
  return headline([
    ["win rate", known(all.win_rate, (rate) => percent(rate, 1)), null, "won / (won + lost)"],
    ["won", count(all.wins)],
    ["lost", count(all.losses)],
    ["expired", count(all.expired)],
    ["mean R", gain(all.r_multiple, 3)],
    ["mean after costs", gain(all.pnl_net, 3, " %")],
    ["profit factor", known(all.profit_factor, (factor) => factor.toFixed(2)), null, "gains / losses after costs, expired included"],
    ["worst drawdown", known(drawdown, (depth) => `${signed(-Math.abs(depth), 1)} R`), "down"],
  ]);
}
