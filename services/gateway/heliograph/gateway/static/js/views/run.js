/** One run of the panel: every agent as it ends, every verdict as it comes. */

import { api } from "../api.js";
import { el, setText } from "../dom.js";
import { headline } from "../figures.js";
import { count, dollars, known, moment, percent } from "../format.js";
import { Live } from "../live.js";
import { Page, panel } from "../page.js";
import { table } from "../table.js";
import { conviction, runProgress, runState } from "./panel.js";

const MARKS = { started: ["…", "at work"], done: ["✓", "has ended"], abstained: ["–", "abstains"] };
const SIDES = { bullish: "up", bearish: "down", neutral: "", abstain: "faint" };

const predictionColumns = [
  { name: "Agent", cell: (row) => row.agent.replaceAll("_", " ") },
  { name: "View", cell: (row) => el("span", { class: SIDES[row.signal] ?? "" }, row.signal) },
  { name: "Confidence", kind: "number", cell: (row) => (row.signal === "abstain" ? "–" : percent(row.confidence)) },
  { name: "By", cell: (row) => row.by },
  { name: "Why", kind: "wide", cell: (row) => el("span", {}, row.reasoning, row.note ? el("span", { class: "faint" }, ` ${row.note}`) : null) },
];

function verdict(found) {
  const what = found.action ? `${found.action} ${found.quantity ? count(found.quantity) : ""}`.trim() : conviction(found);
  return el(
    "section",
    { class: "stack verdict", "aria-label": `Verdict on ${found.ticker}` },
    headline([
      ["ticker", found.ticker],
      ["do", what],
      ["verdict", conviction(found)],
      ["with an opinion", `${count(found.agents)} agents`],
      ["known until", found.asof ?? "–"],
    ]),
    found.reason ? el("p", { class: "lead" }, found.reason) : null,
    found.predictions?.length ? table("predictions", `What each agent said of ${found.ticker}`, predictionColumns, found.predictions) : null,
  );
}

export default class RunView extends Page {
  #run;
  #state = null;
  #steps = new Map();
  #verdicts = new Map();
  #live;

  constructor(run) {
    super("Panel run", { everyMs: 4000 });
    this.#run = run;
    this.head.before(el("a", { class: "crumb", href: "#/panel" }, "← All runs"));
    this.facts = el("div");
    this.grid = panel("Agents");
    this.verdicts = el("div", { class: "stack" });
    this.#live = new Live({ kinds: "agent_progress,verdict", run });
    this.#live.addEventListener("frame", ({ detail }) => this.#take(detail));
    this.#live.connect();
    this.follow((signal) => api.run(run, signal), (found) => this.#show(found));
  }

  close() {
    this.#live.close();
    super.close();
  }

  #show(found) {
    this.#state = found;
    for (const step of found.progress) this.#step(step);
    for (const one of found.verdicts) this.#verdicts.set(one.ticker, one);
    if (!this.grid.isConnected) this.body.replaceChildren(this.facts, this.verdicts, this.grid);
    this.#draw();
    if (found.state !== "running") {
      this.everyMs = 0;
      this.#live.close();
    }
  }

  #take(frame) {
    for (const { type, data } of frame) {
      if (type === "agent_progress") this.#step(data);
      if (type === "verdict") this.#verdicts.set(data.ticker, data);
    }
    if (this.#state) this.#draw();
    if (frame.some(({ type }) => type === "verdict" || type === "skipped")) this.refresh();
  }

  /** What an agent does now; an end is not undone by its start, should that come late. */
  #step(step) {
    const key = `${step.agent} ${step.ticker}`;
    const held = this.#steps.get(key);
    if (held && held.status !== "started" && step.status === "started") return;
    this.#steps.set(key, step);
  }

  #draw() {
    const run = this.#state;
    const ended = [...this.#steps.values()].filter(({ status }) => status !== "started").length;
    const done = Math.max(run.done, ended);
    this.facts.replaceChildren(
      headline([
        ["run", el("span", { class: "mono" }, this.#run)],
        ["state", runState(run)],
        ["agents", runProgress({ done, total: run.total })],
        ["started", moment(run.started_ts)],
        ["took", known(run.seconds, (seconds) => `${seconds.toFixed(2)} s`)],
        ["calls", known(run.calls, count)],
        ["cost", known(run.cost, dollars)],
      ]),
      run.error ? el("p", { class: "problem", role: "alert" }, run.error) : "",
    );
    setText(this.note, `${run.tickers.join(", ")}: ${done} of ${run.total} agents have ended`);
    this.verdicts.replaceChildren(...run.tickers.filter((ticker) => this.#verdicts.has(ticker)).map((ticker) => verdict(this.#verdicts.get(ticker))));
    this.grid.replaceChildren(el("h2", {}, "Agents"), el("ul", { class: "agents" }, ...[...this.#steps.values()].map(agentCell)));
  }
}

function agentCell({ agent, ticker, status, detail }) {
  const [mark, told] = MARKS[status] ?? ["?", status];
  return el(
    "li",
    { class: `agent agent-${status}` },
    el("span", { class: "agent-mark", role: "img", "aria-label": told }, mark),
    el("span", {}, el("strong", {}, agent.replaceAll("_", " ")), el("span", { class: "faint" }, ` ${ticker}`)),
    detail ? el("span", { class: "agent-detail faint" }, detail) : null,
  );
}
