/** The page of one signal: bars, votes, reason, outcome, record and trace. */

import { api } from "../api.js";
import { outcomeBadge, profit, side } from "../badges.js";
import { drawChart, isWhole, spanOf } from "../chart.js";
import { el, facts } from "../dom.js";
import { clock, count, date, duration, percent, price, signed } from "../format.js";
import { fault, panel, said } from "../page.js";
import { verification } from "../verification.js";
import { isCalibrated, voteTable } from "../votes.js";
import { waterfall } from "../waterfall.js";

const SIGNAL_ATTRIBUTE = "heliograph.signal";
const TRIES = 20;
const WAIT_MS = 3000;
const MOST_BARS = 1000;
const OPEN = 100;

const pause = () => new Promise((resolve) => setTimeout(resolve, WAIT_MS));

export default class SignalView {
  #away = new AbortController();
  #id;
  #told = null;
  #record = null;
  #bars = null;
  #standing = null;
  #removeChart = () => {};

  constructor(id, { store }) {
    const known = store.get(id);
    this.#id = id;
    this.node = el("section", { "aria-label": "Signal" });
    this.chart = el("div", { class: "chart" });
    this.chartPanel = el("section", { class: "panel", "aria-label": "Bars around the signal" }, this.chart, legend());
    this.chart.append(said("Reading the bars", ""));
    this.trace = panel("Trace", said("Reading the trace", ""));
    this.verified = panel("Verification", said("Reading the ledger", ""));
    this.side = el("div", { class: "signal-column" });
    this.head = el("header", { class: "signal-head" });
    this.node.append(
      el("a", { class: "crumb", href: "#/" }, "← All signals"),
      this.head,
      el("div", { class: "signal-grid" }, el("div", { class: "signal-column" }, this.chartPanel, this.trace, this.verified), this.side),
    );
    if (known) this.update(known);
    else this.head.append(el("h1", { tabindex: "-1" }, "Signal"));
    this.#load();
  }

  /** Leave the page: nothing of it goes on. */
  close() {
    this.#away.abort();
    this.#removeChart();
  }

  async #load() {
    try {
      this.update(await api.signal(this.#id, this.#away.signal));
    } catch (error) {
      if (error.name === "AbortError") return;
      if (!this.#record) this.#refuse(error);
      return;
    }
    await Promise.all([this.#loadBars(), this.#loadTrace(), this.#verify(), this.#loadStanding()]);
  }

  #refuse(error) {
    const grid = this.node.querySelector(".signal-grid");
    const again = () => {
      told.replaceWith(grid);
      this.#load();
    };
    const told = fault(error, again);
    grid.replaceWith(told);
  }

  async #verify() {
    const show = (...children) => this.verified.replaceChildren(el("h2", {}, "Verification"), ...children);
    try {
      show(await verification(this.#record, await api.verify(this.#id, this.#away.signal), () => this.#verify()));
    } catch (error) {
      if (error.name !== "AbortError") show(fault(error, () => this.#verify()));
    }
  }

  /** The archive writes in batches, so what it does not hold yet is asked for again, for a minute at most. */
  async #persist(load, refused) {
    for (let tried = 0; tried < TRIES && !this.#away.signal.aborted; tried += 1) {
      try {
        if (await load()) return;
      } catch (error) {
        if (error.name === "AbortError") return;
        refused(error.message);
      }
      await pause();
    }
  }

  #loadBars() {
    const load = async () => {
      const record = this.#record;
      const query = { symbol: record.symbol, interval: record.interval, limit: MOST_BARS, ...spanOf(record) };
      const held = this.#bars?.ts.length;
      this.#bars = await api.bars(query, this.#away.signal);
      if (this.#bars.ts.length !== held) this.redraw();
      return isWhole(record, this.#bars);
    };
    return this.#persist(load, (text) => {
      if (!this.#bars) this.chart.replaceChildren(said("The bars cannot be read now", text));
    });
  }

  /** How the open signal stands; without it the panel says that it is open, and no more. */
  async #loadStanding() {
    if (this.#record.outcome) return;
    try {
      const { positions } = await api.positions({ symbol: this.#record.symbol, limit: OPEN }, this.#away.signal);
      this.#standing = positions.find(({ signal }) => signal === this.#id) ?? null;
    } catch (error) {
      if (error.name === "AbortError") return;
      this.#standing = null;
    }
    this.#fillSide();
  }

  #fillSide() {
    const record = this.#record;
    this.side.replaceChildren(plan(record), reason(record), votes(record), outcome(record, this.#standing), identity(record));
  }

  #loadTrace() {
    const show = (title, ...children) => this.trace.replaceChildren(el("h2", {}, "Trace ", title), ...children);
    const load = async () => {
      const spans = this.#own((await api.trace(this.#id, this.#away.signal)).spans);
      if (!spans.length) {
        show("", said("No trace is held yet", "It comes with the next write of the archive."));
        return false;
      }
      show(el("span", { class: "mono faint" }, spans[0].trace_id), waterfall(spans));
      return true;
    };
    return this.#persist(load, (text) => show("", said("The trace cannot be read now", text)));
  }

  /** A batch of bars may have led to several signals in one trace: the spans of the others are left out. */
  #own(spans) {
    return spans.filter(({ attributes }) => (attributes[SIGNAL_ATTRIBUTE] ?? this.#id) === this.#id);
  }

  /** Draw the bars again, e.g. in other colours. */
  redraw() {
    this.#removeChart();
    this.#removeChart = () => {};
    if (!this.#bars?.ts.length) {
      this.chart.replaceChildren(said("No bars are archived here yet", "They come with the next write of the archive."));
      return;
    }
    this.chart.replaceChildren();
    this.#removeChart = drawChart(this.chart, this.#record, this.#bars);
  }

  /** Show what is known of the signal now. */
  update(told) {
    if (told.id !== this.#id || told === this.#told) return;
    const held = this.#record;
    // An answer may be older than what came live meanwhile: what is known once stays.
    const record = { ...told, reason: told.reason ?? held?.reason ?? null, outcome: told.outcome ?? held?.outcome ?? null };
    const ended = Boolean(record.outcome) && !held?.outcome;
    this.#told = told;
    this.#record = record;
    const title = el("h1", { tabindex: "-1" }, record.symbol);
    document.title = `${record.action} ${record.symbol} · Heliograph`;
    const refocus = document.activeElement === this.head.querySelector("h1");
    this.head.replaceChildren(
      title, side(record.action),
      el("span", { class: "faint" }, `${date(record.ts)} ${clock(record.ts)} · ${record.interval} bar · ${record.strategy}`),
      el("div", { class: "signal-end" }, outcomeBadge(record.outcome), record.outcome ? profit(record.outcome) : null),
    );
    if (refocus) title.focus({ preventScroll: true });
    this.#fillSide();
    if (ended && this.#bars) this.#loadBars();
  }
}

function legend() {
  const key = (kind, text) => el("span", { class: `key key-${kind}` }, text);
  return el("p", { class: "chart-legend" }, key("target", "target"), key("entry", "entry"), key("stop", "stop"));
}

function plan(record) {
  const risk = Math.abs(record.entry - record.stop);
  const reward = Math.abs(record.target - record.entry);
  const calibrated = isCalibrated(record);
  const level = (value, distance) => [price(value), el("span", { class: "distance" }, percent(distance / record.entry, 1))];
  return panel(
    "Plan",
    facts([
      ["entry", price(record.entry)],
      ["stop, risk", level(record.stop, risk), "down"],
      ["target, gain", level(record.target, reward), "up"],
      calibrated ? ["win probability", `${record.confidence.toFixed(1)} %`] : ["raw confidence", record.confidence.toFixed(1)],
      ["reward / risk", (reward / risk).toFixed(2)],
      calibrated ? ["expected", `${signed(record.expected_r, 2)} R`] : ["expected", "not known", "small"],
      ["regime", record.regime, "small"],
      ["view", record.view.toLowerCase(), "small"],
      ["open until", date(record.expires), "small"],
    ]),
    calibrated ? null : el("p", { class: "byline" }, "No outcomes have calibrated this confidence yet: it is the strength of the votes, not the probability of a win."),
  );
}

function reason(record) {
  const { reason: text } = record;
  if (!text) return panel("Reason", el("p", { class: "prose faint" }, "The reason is being written."));
  const cost = text.cost > 0 ? `$${text.cost.toFixed(4)}, ${count(text.tokens_in + text.tokens_out)} tokens` : "no cost";
  const parts = [`${text.provider}, ${text.model}`, text.cached ? "from the cache" : cost];
  if (text.latency_ns > 0) parts.push(duration(text.latency_ns));
  return panel("Reason", el("p", { class: "prose" }, text.text), el("p", { class: "byline" }, parts.join(" · ")));
}

function votes(record) {
  return panel(`Votes, ${percent(record.agreement)} of the weight agrees`, ...voteTable(record));
}

function outcome(record, standing) {
  const { outcome: end } = record;
  if (!end) {
    const open = el("p", { class: "faint" }, "Still open: neither stop nor target has been touched.");
    return panel("Outcome", open, standing?.bars ? soFar(standing) : null);
  }
  return panel(
    "Outcome",
    facts([
      ["exit", price(end.exit)],
      ["after costs", `${signed(end.pnl_net, 2)} %`, end.pnl_net >= 0 ? "up" : "down"],
      ["R multiple", signed(end.r_multiple, 2), end.r_multiple >= 0 ? "up" : "down"],
      ["best", `${signed(end.best, 2)} %`, "small"],
      ["worst", `${signed(end.worst, 2)} %`, "small"],
      ["held", `${count(end.bars)} ${end.bars === 1 ? "bar" : "bars"}`, "small"],
    ]),
  );
}

/** What an open signal has come to until its last bar. */
function soFar({ last, ts, pnl, r_multiple: multiple, best, worst, bars }) {
  return facts([
    ["last", price(last)],
    ["so far", `${signed(pnl, 2)} %`, pnl >= 0 ? "up" : "down"],
    ["R so far", signed(multiple, 2), multiple >= 0 ? "up" : "down"],
    ["best", `${signed(best, 2)} %`, "small"],
    ["worst", `${signed(worst, 2)} %`, "small"],
    ["held", `${count(bars)} ${bars === 1 ? "bar" : "bars"}, until ${date(ts)} ${clock(ts)}`, "small"],
  ]);
}

function identity(record) {
  return panel(
    "Record",
    facts(
      [
        ["id", record.id],
        ["sha256", record.sha256],
        ["previous in the shard", record.prev_sha256 || "none, the first of its shard"],
      ],
      "hashes",
    ),
  );
}
