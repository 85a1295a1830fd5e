/** The live list of signals. */

import { api } from "../api.js";
import { el, setText } from "../dom.js";
import { count } from "../format.js";
import { drawHeliogram } from "../heliogram.js";
import { fault } from "../page.js";
import { signalRow } from "./row.js";

const PAGE = 100;
const FILTER_WAIT_MS = 300;
const DRAW_EVERY_MS = 200;
const LEVELS = ["Entry", "Stop", "Target"];
const COLUMNS = ["Confidence", "Votes and their sum", "Regime", "Reason", "Outcome"];

function columns() {
  const names = (list) => list.map((name) => el("span", {}, name));
  const levels = el("span", { class: "prices" }, ...names(LEVELS));
  return el("div", { class: "columns", "aria-hidden": "true" }, ...names(["Time", "Symbol"]), levels, ...names(COLUMNS));
}

export class SignalsView {
  #store;
  #live;
  #rows = new Map();
  #paused = false;
  #unseen = 0;
  #symbol = "";
  #timer = null;
  #drawTimer = null;
  #reads = 0;

  constructor(store, live) {
    this.#store = store;
    this.#live = live;
    this.#build();
  }

  #build() {
    this.list = el("ol", { class: "list", "aria-label": "Signals, newest first" });
    this.empty = el("div", { class: "notice" }, el("strong", {}, "Reading the signals"));
    this.canvas = el("canvas", { role: "img", "aria-label": "The newest signals" });
    this.pause = el("button", { class: "button", type: "button", "aria-pressed": "false", onclick: () => this.#toggle() }, "Pause");
    this.filter = el("input", {
      class: "filter", type: "search", placeholder: "Symbol", "aria-label": "Show one symbol only",
      autocomplete: "off", spellcheck: "false", maxlength: "64", oninput: () => this.#filterSoon(),
    });
    this.older = el("button", { class: "button", type: "button", hidden: true, onclick: () => this.#loadOlder() }, "Show older signals");
    const caption = ["won above the line, lost below", "length is R", "dot: still open", "newest at the right"];
    this.node = el(
      "section",
      { "aria-label": "Live signals" },
      el("figure", { class: "heliogram" }, this.canvas, el("figcaption", {}, ...caption.map((text) => el("span", {}, text)))),
      el("div", { class: "toolbar" }, el("h1", { tabindex: "-1" }, "Live signals"), this.filter, this.pause),
      el(
        "div",
        { class: "signals panel" },
        columns(),
        this.list,
        this.empty,
      ),
      el("div", { class: "more" }, this.older),
    );
    this.list.addEventListener("keydown", (event) => this.#move(event));
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  /** Read the newest signals: at the start, after a reconnect, and when the stream went too fast to show all. */
  async refresh() {
    const read = (this.#reads += 1);
    try {
      const { signals } = await api.signals({ limit: PAGE, symbol: this.#symbol || null });
      if (read !== this.#reads) return;
      this.#store.load(signals);
      this.older.hidden = signals.length < PAGE;
      const title = this.#symbol ? `No signal of ${this.#symbol} yet` : "Waiting for the first signal";
      this.#say(el("strong", {}, title), "It shows here as soon as the bars give one.");
    } catch (error) {
      if (read !== this.#reads) return;
      this.#say(fault(error, () => this.#again()));
    }
    this.render();
  }

  /** New signals came; the list is drawn a few times a second at most. */
  changed(fresh) {
    if (this.#paused) {
      this.#unseen += fresh;
      setText(this.pause, this.#unseen ? `Resume (${count(this.#unseen)} new)` : "Resume");
      return;
    }
    this.#drawTimer ??= setTimeout(() => {
      this.#drawTimer = null;
      this.render();
    }, DRAW_EVERY_MS);
  }

  /** Put the rows in order; a row is made anew only when its reason or outcome has come. */
  render() {
    const focused = document.activeElement?.dataset?.id;
    const records = this.#store.list();
    const rows = new Map();
    const nodes = records.map((record) => {
      const held = this.#rows.get(record.id);
      const entry = held?.record === record ? held : { record, node: el("li", {}, signalRow(record)) };
      rows.set(record.id, entry);
      return entry.node;
    });
    this.#rows = rows;
    this.#place(nodes);
    this.empty.hidden = records.length > 0;
    if (focused && document.activeElement === document.body) this.focus(focused);
    this.draw();
  }

  #place(nodes) {
    const wanted = new Set(nodes);
    for (const child of [...this.list.children]) if (!wanted.has(child)) child.remove();
    nodes.forEach((node, index) => {
      const there = this.list.children[index];
      if (there !== node) this.list.insertBefore(node, there ?? null);
    });
  }

  draw() {
    drawHeliogram(this.canvas, this.#store.list());
  }

  /** Focus the row of a signal, e.g. on the way back from its page. */
  focus(id) {
    this.#rows.get(id)?.node.firstElementChild.focus({ preventScroll: false });
  }

  #say(...words) {
    this.empty.replaceChildren(...words);
  }

  /** After a fault: the list and the live connection, which may have wanted the same token. */
  #again() {
    this.#live.connect();
  }

  #toggle() {
    this.#paused = !this.#paused;
    this.#unseen = 0;
    this.pause.setAttribute("aria-pressed", String(this.#paused));
    setText(this.pause, this.#paused ? "Resume" : "Pause");
    if (!this.#paused) this.render();
  }

  /** Show one symbol only, as an address asks; without one, what the reader has chosen stays. */
  only(symbol) {
    if (!symbol || symbol === this.#symbol) return;
    this.filter.value = symbol;
    this.#choose(symbol);
  }

  #filterSoon() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#choose(this.filter.value.trim().toUpperCase()), FILTER_WAIT_MS);
  }

  #choose(symbol) {
    if (symbol === this.#symbol) return;
    this.#symbol = symbol;
    this.#store.clear();
    this.#say(el("strong", {}, "Reading the signals"));
    this.render();
    this.#live.connect(symbol || null);
  }

  /** Older signals: those that come after the last of the list. */
  async #loadOlder() {
    const last = this.#store.list().at(-1);
    if (!last) return;
    this.#store.grow();
    try {
      const page = await api.signals({
        limit: PAGE, symbol: this.#symbol || null, before: BigInt(last.ts), before_id: last.id,
      });
      this.#store.load(page.signals);
      this.older.hidden = page.signals.length < PAGE;
    } catch (error) {
      setText(this.older, `Show older signals (${error.message})`);
    }
    this.render();
  }

  #move(event) {
    const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
    const item = event.target.closest("li");
    if (!step || !item) return;
    event.preventDefault();
    item[step]?.firstElementChild.focus();
  }
}
