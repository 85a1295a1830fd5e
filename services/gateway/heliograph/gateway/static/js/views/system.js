/** The system: replicas, the shards that each owns, and how far each reader is behind. */

import { api } from "../api.js";
import { el } from "../dom.js";
import { bytes, count } from "../format.js";

const EVERY_MS = 2000;
const OWNER_COLOURS = 4;
const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

const letter = (index) => LETTERS[index % LETTERS.length];
const owner = (index) => `owner-${index % OWNER_COLOURS}`;

export class SystemView {
  #away = new AbortController();
  #timer = null;

  constructor() {
    this.note = el("p", { class: "faint" }, "Asking every service");
    this.body = el("div", { class: "system" });
    this.node = el(
      "section",
      { class: "system", "aria-label": "System" },
      el("div", { class: "system-head" }, el("h1", { tabindex: "-1" }, "System"), this.note),
      this.body,
    );
    this.#load();
  }

  close() {
    this.#away.abort();
    clearTimeout(this.#timer);
  }

  async #load() {
    try {
      const system = await api.system(this.#away.signal);
      const ready = system.replicas.filter((replica) => replica.ready).length;
      this.note.textContent = `${ready} of ${system.replicas.length} processes ready, ${system.shards} shards`;
      this.body.replaceChildren(services(system), streams(system));
    } catch (error) {
      if (error.name === "AbortError") return;
      this.note.textContent = error.message;
    }
    this.#timer = setTimeout(() => this.#load(), EVERY_MS);
  }
}

function table(className, heads, rows) {
  const head = heads.map(([name, kind]) => el("th", { scope: "col", class: kind ?? null }, name));
  return el(
    "div",
    { class: "panel table-wrap" },
    el("table", { class: `grid-table ${className}` }, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...rows)),
  );
}

function services({ replicas, shards }) {
  const names = [...new Set(replicas.map((replica) => replica.service))];
  const rows = names.map((name) => serviceRow(name, replicas.filter((replica) => replica.service === name), shards));
  return table("stackable", [["Service"], ["Processes"], ["Shards and their owners"]], rows);
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
  return table("stackable", [["Stream"], ["Messages", "number"], ["Size", "number"], ["Readers, and messages they have yet to handle"]], rows);
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
