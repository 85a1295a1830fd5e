/** The system: health, replicas, the shards that each owns, how far each reader is behind, how long a signal takes. */

import { api } from "../api.js";
import { el, setText } from "../dom.js";
import { bytes, count, duration } from "../format.js";
import { SIGNALS, measure } from "../latency.js";
import { Page, fault, said } from "../page.js";
import { table } from "../table.js";

const HEALTH_EVERY_MS = 20_000;
const OWNER_COLOURS = 4;
const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const CHECKS = { pass: "ok", fail: "bad", skipped: "unknown" };

const letter = (index) => LETTERS[index % LETTERS.length];
const owner = (index) => `owner-${index % OWNER_COLOURS}`;

export default class SystemView extends Page {
  #timer = null;
  #level = "2";

  constructor() {
    super("System", { everyMs: 3000 });
    this.live = el("div", { class: "stack" });
    this.health = el("div", {}, said("Asking every service", ""));
    this.latency = el("div", {}, said("Reading the newest traces", ""));
    this.follow((signal) => api.system(signal), (found) => this.#show(found));
    this.#check();
    this.#measure();
  }

  close() {
    clearTimeout(this.#timer);
    super.close();
  }

  #show(system) {
    const ready = system.replicas.filter((replica) => replica.ready).length;
    setText(this.note, `${ready} of ${system.replicas.length} processes ready, ${system.shards} shards`);
    this.live.replaceChildren(services(system), streams(system));
    if (this.live.isConnected) return;
    const again = el("button", { class: "button", type: "button", onclick: () => this.#measure() }, "Measure again");
    this.body.replaceChildren(
      this.live,
      el("div", { class: "toolbar" }, el("h2", { class: "section" }, "How long a signal takes"), again),
      this.latency,
      el("div", { class: "toolbar" }, el("h2", { class: "section" }, "Health"), this.#levels()),
      this.health,
    );
  }

  #levels() {
    const options = [["1", "Level 1: environment"], ["2", "Level 2: services, stores, lag"], ["3", "Level 3: endpoints, archive, integrity"]];
    const choose = () => {
      this.#level = select.value;
      this.health.replaceChildren(said("Asking every service", ""));
      this.#check();
    };
    const select = el(
      "select",
      { class: "field", "aria-label": "Depth of the checks", onchange: choose },
      ...options.map(([value, text]) => el("option", { value, selected: value === this.#level }, text)),
    );
    return select;
  }

  async #check() {
    clearTimeout(this.#timer);
    const level = this.#level;
    try {
      const { status, checks } = await api.health(level, this.signal);
      if (level !== this.#level) return;
      this.health.replaceChildren(table("health", `Health at level ${level}: ${status}`, healthColumns, checks));
    } catch (error) {
      if (error.name === "AbortError") return;
      this.health.replaceChildren(fault(error, () => this.#check()));
    }
    this.#timer = setTimeout(() => this.#check(), HEALTH_EVERY_MS);
  }

  async #measure() {
    try {
      const steps = await measure(this.signal);
      this.latency.replaceChildren(steps.length ? table("latency", "How long the newest signals took", latencyColumns, steps) : said("No trace is held yet", "Traces come with the next write of the archive."));
    } catch (error) {
      if (error.name !== "AbortError") this.latency.replaceChildren(fault(error, () => this.#measure()));
    }
  }
}

const healthColumns = [
  { name: "Check", cell: (row) => row.name },
  { name: "Level", kind: "number", cell: (row) => String(row.level) },
  { name: "State", cell: (row) => el("span", { class: `state state-${CHECKS[row.state] ?? "unknown"}` }, row.state) },
  { name: "What it saw", cell: (row) => row.detail || "–" },
];

const latencyColumns = [
  { name: "From the fetch of the bars to", cell: (row) => row.name },
  { name: "Signals", kind: "number", cell: (row) => `${count(row.times.length)} of ${SIGNALS}` },
  { name: "Median", kind: "number", cell: (row) => duration(row.times[Math.floor(row.times.length / 2)]) },
  { name: "Slowest", kind: "number", cell: (row) => duration(row.times.at(-1)) },
];

function rawTable(caption, heads, rows) {
  const head = heads.map(([name, kind]) => el("th", { scope: "col", class: kind ?? null }, name));
  return el(
    "div",
    { class: "panel table-wrap", tabindex: "0", role: "region", "aria-label": caption },
    el("table", { class: "grid-table stackable" }, el("caption", { class: "hidden" }, caption), el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...rows)),
  );
}

function services({ replicas, shards }) {
  const names = [...new Set(replicas.map((replica) => replica.service))];
  const rows = names.map((name) => serviceRow(name, replicas.filter((replica) => replica.service === name), shards));
  return rawTable("Services, their processes and shards", [["Service"], ["Processes"], ["Shards and their owners"]], rows);
}

function serviceRow(name, replicas, shards) {
  const sharded = replicas.some((replica) => replica.shards.length);
  return el(
    "tr",
    {},
    el(
      "th",
      { scope: "row" },
      el("span", { class: "service-name" }, el("span", { class: `swatch service-${name}`, "aria-hidden": "true" }), name),
    ),
    el("td", {}, ...replicas.map((replica, index) => member(replica, index, sharded))),
    el("td", {}, sharded ? shardMap(replicas, shards) : el("span", { class: "faint" }, "takes no shards")),
  );
}

function member(replica, index, sharded) {
  const problems = Object.entries(replica.problems).map(([what, why]) => `${what}: ${why}`);
  return el(
    "div",
    { class: "member" },
    sharded ? el("span", { class: `letter ${owner(index)}`, "aria-hidden": "true" }, letter(index)) : null,
    el("span", { class: "mono" }, replica.member),
    replica.ready
      ? el("span", { class: "faint" }, sharded ? `${replica.shards.length} shards` : "ready")
      : el("span", { class: "problem" }, problems.join("; ") || "not ready"),
  );
}

function shardMap(replicas, shards) {
  const cells = Array.from({ length: shards }, (_, shard) => {
    const index = replicas.findIndex((replica) => replica.shards.includes(shard));
    const told = index < 0 ? `shard ${shard}: nobody` : `shard ${shard}: ${replicas[index].member}`;
    return el("span", { class: `shard ${index < 0 ? "" : owner(index)}`, title: told }, String(shard));
  });
  const owned = replicas.map((replica) => `${replica.member} has ${replica.shards.join(", ") || "none"}`);
  return el("div", { class: "shards", role: "img", "aria-label": `Shards: ${owned.join("; ")}` }, ...cells);
}

function streams({ streams: found }) {
  const widest = Math.max(1, ...found.flatMap((stream) => stream.consumers.map((reader) => reader.lag)));
  const rows = found.map((stream) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, stream.name),
      el("td", { class: "number", dataset: { label: "messages" } }, count(stream.messages)),
      el("td", { class: "number", dataset: { label: "size" } }, bytes(stream.bytes)),
      el("td", {}, readers(stream.consumers, widest)),
    ),
  );
  const heads = [["Stream"], ["Messages", "number"], ["Size", "number"], ["Readers, and messages they have yet to handle"]];
  return rawTable("Streams and their readers", heads, rows);
}

function readers(consumers, widest) {
  if (!consumers.length) return el("span", { class: "faint" }, "no reader");
  return el(
    "div",
    { class: "readers" },
    ...consumers.map((reader) => {
      const bar = el("div", { class: "lag-fill" });
      bar.style.width = `${(100 * reader.lag) / widest}%`;
      return el(
        "div",
        { class: "reader" },
        el("span", {}, reader.service),
        el("div", { class: "lag", "aria-hidden": "true" }, bar),
        el("span", { class: "number" }, reader.lag ? count(reader.lag) : "none"),
      );
    }),
  );
}
