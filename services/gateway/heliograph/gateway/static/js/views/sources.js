/** The sources of votes and how right each was, and the providers of data and how well they do. */

import { api } from "../api.js";
import { el } from "../dom.js";
import { gain, interval } from "../figures.js";
import { count, known, moment } from "../format.js";
import { Page, said } from "../page.js";
import { sortable, table } from "../table.js";

const STATES = { healthy: "ok", degraded: "warn", unhealthy: "bad" };

/** A state in a word with a mark, so that colour is not the only sign. */
function stateMark(state) {
  return el("span", { class: `state state-${STATES[state] ?? "unknown"}` }, state);
}

const rate = ({ hit_rate: share, low, high }) => interval(share, low, high, "right in");

const sourceColumns = [
  { name: "Source", cell: (row) => row.source, sort: (row) => row.source },
  { name: "Votes", kind: "number", cell: ({ all }) => count(all.votes), sort: ({ all }) => all.votes },
  { name: "Right", kind: "number", cell: ({ all }) => count(all.right), sort: ({ all }) => all.right },
  { name: "Wrong", kind: "number", cell: ({ all }) => count(all.wrong), sort: ({ all }) => all.wrong },
  { name: "Neutral", kind: "number", cell: ({ all }) => count(all.neutral), sort: ({ all }) => all.neutral },
  { name: "Expired", kind: "number", cell: ({ all }) => count(all.expired), sort: ({ all }) => all.expired },
  { name: "How often right", cell: ({ all }) => rate(all), sort: ({ all }) => all.hit_rate },
  { name: "Expectancy", kind: "number", cell: ({ all }) => gain(all.expectancy, 3, " R"), sort: ({ all }) => all.expectancy },
  { name: "Newest outcome", kind: "number", cell: (row) => known(row.newest || null, moment), sort: (row) => row.newest },
];

const regimeColumns = [
  { name: "Source", cell: (row) => row.source },
  { name: "Regime", cell: (row) => row.regime },
  { name: "Votes", kind: "number", cell: ({ record }) => count(record.votes) },
  { name: "How often right", cell: ({ record }) => rate(record) },
  { name: "Expectancy", kind: "number", cell: ({ record }) => gain(record.expectancy, 3, " R") },
];

const providerColumns = [
  { name: "Provider", cell: (row) => row.provider },
  { name: "Read by", cell: (row) => el("span", { class: "mono" }, row.member) },
  { name: "State", cell: (row) => stateMark(row.state) },
  { name: "Gaps", kind: "number", cell: (row) => known(row.gaps, count) },
  { name: "Work", kind: "number", cell: (row) => (row.done ? "read to the end" : "reading") },
];

const byRegime = ({ source, regimes }) => Object.entries(regimes ?? {}).map(([regime, record]) => ({ source, regime, record }));

export default class SourcesView extends Page {
  #order = { by: "Votes", descending: true };

  constructor() {
    super("Sources", { lead: "A source was right where its vote was for the side that won. The bar is the 95 % interval: a wide one says that there is little to go by." });
    this.follow((signal) => api.sources(signal), (found) => this.#show(found));
  }

  #show({ sources, providers }) {
    const regimes = sources.flatMap(byRegime);
    this.body.replaceChildren(
      sources.length
        ? sortable("sources", "Sources of votes and how right they were", sourceColumns, sources, this.#order)
        : said("No source has been judged yet", "A source is judged by the signals that it voted for and that have ended."),
      regimes.length ? el("h2", { class: "section" }, "By regime") : "",
      regimes.length ? table("regimes", "Sources by regime", regimeColumns, regimes) : "",
      el("h2", { class: "section" }, "Providers of data"),
      providers.length
        ? table("providers", "Providers of data and their state", providerColumns, providers)
        : said("No provider answers", "The fetcher reports its providers while it runs."),
    );
  }
}
