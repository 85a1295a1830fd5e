/** The analyst panel: a form that starts a run, and the runs of the last days. */

import { api } from "../api.js";
import { el } from "../dom.js";
import { meter } from "../figures.js";
import { count, dollars, known, moment, percent } from "../format.js";
import { Page, said } from "../page.js";
import { table } from "../table.js";

const STATES = { running: "warn", done: "ok", failed: "bad", lost: "bad" };
const words = (text) => text.split(/[\s,]+/).filter(Boolean);

export const runState = ({ state }) => el("span", { class: `state state-${STATES[state] ?? "unknown"}` }, state);

export const runProgress = ({ done, total }) => {
  const share = total ? done / total : 0;
  return el("span", { class: "progress-cell" }, meter(share, `${done} of ${total} agents have ended`), el("span", {}, `${count(done)} / ${count(total)}`));
};

const columns = [
  { name: "Run", cell: (row) => el("a", { class: "strong mono", href: `#/run/${encodeURIComponent(row.run)}`, dataset: { key: row.run } }, row.run) },
  { name: "Tickers", cell: (row) => row.tickers.join(", ") },
  { name: "State", cell: runState },
  { name: "Agents", cell: runProgress },
  { name: "Started", kind: "number", cell: (row) => moment(row.started_ts) },
  { name: "Took", kind: "number", cell: (row) => known(row.seconds, (seconds) => `${seconds.toFixed(2)} s`) },
  { name: "Calls", kind: "number", cell: (row) => known(row.calls, count) },
  { name: "Cost", kind: "number", cell: (row) => known(row.cost, dollars) },
];

function labelled(text, field, hint) {
  return el("label", { class: "labelled" }, el("span", {}, text), field, hint ? el("span", { class: "faint" }, hint) : null);
}

/** The form; `started` is called with the answer of a run that has begun. */
function runForm(started) {
  const field = (props) => el("input", { class: "field", autocomplete: "off", spellcheck: "false", ...props });
  const tickers = field({ name: "tickers", required: true, placeholder: "SNOW", maxlength: "200" });
  const agents = field({ name: "agents", placeholder: "all", maxlength: "400" });
  const from = field({ name: "from", type: "date" });
  const to = field({ name: "to", type: "date" });
  const button = el("button", { class: "button primary", type: "submit" }, "Ask the panel");
  const refused = el("p", { class: "problem", role: "alert" });
  const submit = async (event) => {
    event.preventDefault();
    refused.textContent = "";
    button.disabled = true;
    try {
      const body = { tickers: words(tickers.value.toUpperCase()) };
      if (from.value) body.from = from.value;
      if (to.value) body.to = to.value;
      if (words(agents.value).length) body.agents = words(agents.value);
      started(await api.start(body));
    } catch (error) {
      refused.textContent = error.message;
    } finally {
      button.disabled = false;
    }
  };
  return el(
    "form",
    { class: "panel panel-body run-form", onsubmit: submit, "aria-label": "Start a run" },
    labelled("Tickers", tickers, "one or more, separated by commas"),
    labelled("Agents", agents, "e.g. ben_graham, technicals"),
    labelled("News from", from, "a year earlier"),
    labelled("Day of the analysis", to, "nothing later is known; the newest day"),
    el("div", { class: "run-submit" }, button),
    refused,
  );
}

export default class PanelView extends Page {
  constructor() {
    super("Panel", {
      everyMs: 3000,
      lead: "Seventeen agents judge a company: by rules, and by models where there are keys. An agent without figures abstains, which is not the same as neutral.",
    });
    this.runs = el("div", { class: "stack" });
    this.follow((signal) => api.runs({ limit: 50 }, signal), (found) => this.#show(found));
  }

  #show({ runs }) {
    const going = runs.filter(({ state }) => state === "running").length;
    this.note.textContent = going ? `${count(going)} running` : "";
    const form = () => runForm(({ run }) => {
      location.hash = `#/run/${encodeURIComponent(run)}`;
    });
    if (!this.runs.isConnected) this.body.replaceChildren(form(), this.runs);
    this.runs.replaceChildren(
      runs.length ? table("runs", "Runs, newest first", columns, runs) : said("No run in the last seven days", "Name a ticker above, e.g. SNOW of the sample, and ask."),
    );
  }
}

/** Conviction as text with its direction. */
export const conviction = ({ direction, conviction: strength }) =>
  `${{ "-1": "against", 0: "undecided", 1: "for" }[direction]}, conviction ${percent(strength)}`;
