/** The head of the page: the lamp, the state of the connection, the totals. */

import { el, setText } from "./dom.js";
import { count, percent } from "./format.js";

const STATS = [
  ["signals", "signals", (s) => count(s.signals)],
  ["open", "open", (s) => count(s.open)],
  ["wins", "won", (s) => count(s.wins)],
  ["losses", "lost", (s) => count(s.losses)],
  ["expired", "expired", (s) => count(s.expired)],
  ["rate", "win rate", (s) => (s.win_rate === null ? "–" : percent(s.win_rate, 1))],
  ["bars", "bars archived", (s) => (s.archived ? count(s.archived.bars) : "–")],
];

const still = matchMedia("(prefers-reduced-motion: reduce)");

export class Masthead {
  #values = new Map();
  #lamp = document.querySelector("#lamp .lamp-light");

  constructor() {
    const list = document.getElementById("counters");
    for (const [key, label] of STATS) {
      const value = el("dd", {}, "–");
      this.#values.set(key, value);
      list.append(el("div", { class: `counter counter-${key}` }, el("dt", {}, label), value));
    }
  }

  /** Show how the connection is. */
  link({ state, text }) {
    document.getElementById("link-state").dataset.state = state;
    setText(document.getElementById("link-text"), text);
  }

  /** Show the totals. */
  stats(stats) {
    for (const [key, , write] of STATS) setText(this.#values.get(key), write(stats));
  }

  /** One flash of the lamp: a signal has come. */
  flash() {
    if (still.matches || this.#lamp.getAnimations().length) return;
    this.#lamp.animate([{ opacity: 1 }, { opacity: 0.25 }, { opacity: 1 }], { duration: 420, easing: "ease-out" });
  }
}
