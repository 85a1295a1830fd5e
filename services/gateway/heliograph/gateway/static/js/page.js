/** What every page but the live list is built of: a head, a body, and honest words while the body is not there. */

import { token, keep } from "./token.js";
import { el, setText } from "./dom.js";

const TITLES = {
  0: "The gateway does not answer",
  400: "The gateway refuses the question",
  401: "A token is needed",
  403: "This token may not see that",
  404: "There is no such thing",
  429: "Too many requests",
  503: "The owner of these data does not answer now",
};

/** A sentence that stands where data would. */
export const said = (title, text) => el("p", { class: "notice" }, el("strong", {}, title), text);

const reading = () => el("p", { class: "notice" }, "Reading");

/** A panel with a heading. */
export function panel(title, ...children) {
  const name = title.split(",")[0].toLowerCase().replaceAll(" ", "-");
  return el("section", { class: `panel panel-body panel-${name}`, "aria-label": title }, el("h2", {}, title), ...children);
}

/** Load a stylesheet of a page, once. */
export function style(name) {
  const href = `/static/css/${name}.css`;
  if (document.querySelector(`link[href="${href}"]`)) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const link = el("link", { rel: "stylesheet", href, onload: resolve, onerror: () => reject(new Error(`${href} cannot be read`)) });
    document.head.append(link);
  });
}

function tokenForm(again) {
  const field = el("input", { class: "field", type: "password", name: "token", autocomplete: "off", required: true, "aria-label": "Token" });
  const submit = (event) => {
    event.preventDefault();
    keep(field.value.trim());
    again();
  };
  return el("form", { class: "token-form", onsubmit: submit }, field, el("button", { class: "button", type: "submit" }, "Use this token"));
}

/** What is the matter, and what can be done about it. */
export function fault(error, again) {
  const asks = error.status === 401;
  const text = asks && token() ? `${error.message} The token of this tab was refused.` : error.message;
  return el(
    "div",
    { class: "notice", role: "alert" },
    el("strong", {}, TITLES[error.status] ?? "This cannot be shown"),
    el("p", {}, text),
    asks ? tokenForm(again) : el("p", {}, el("button", { class: "button", type: "button", onclick: again }, "Try again")),
  );
}

export class Page {
  #away = new AbortController();
  #timer = null;
  #ask = null;
  #shown = null;

  /**
   * @param {string} title
   * @param {object} options `everyMs` asks again so often; `lead` a sentence under the title
   */
  constructor(title, { everyMs = 5000, lead = "" } = {}) {
    this.everyMs = everyMs;
    this.note = el("p", { class: "faint page-note", role: "status" });
    this.actions = el("div", { class: "page-actions" });
    this.body = el("div", { class: "stack" }, reading());
    this.body.setAttribute("aria-busy", "true");
    this.head = el("div", { class: "page-head" }, el("h1", { tabindex: "-1" }, title), this.note, this.actions);
    this.node = el("section", { class: "stack", "aria-label": title }, this.head, lead ? el("p", { class: "lead" }, lead) : null, this.body);
  }

  get signal() {
    return this.#away.signal;
  }

  /** Leave: nothing of the page goes on. */
  close() {
    this.#away.abort();
    clearTimeout(this.#timer);
  }

  /** Ask now and again; `show` is called with each answer that differs from the last one. */
  follow(ask, show) {
    this.#ask = { ask, show };
    return this.refresh();
  }

  /** Ask at once. */
  async refresh() {
    clearTimeout(this.#timer);
    const { ask, show } = this.#ask;
    try {
      if (!document.hidden || this.#shown === null) await this.#read(ask, show);
    } catch (error) {
      if (error.name === "AbortError" || this.signal.aborted) return;
      if (!("status" in error)) throw error;
      this.#fault(error);
    }
    if (!this.signal.aborted && this.everyMs) this.#timer = setTimeout(() => this.refresh(), this.everyMs);
  }

  async #read(ask, show) {
    const found = await ask(this.signal);
    if (this.signal.aborted) return;
    const text = JSON.stringify(found);
    this.head.querySelector(".stale")?.remove();
    if (text === this.#shown) return;
    this.#shown = text;
    this.body.removeAttribute("aria-busy");
    this.keepingFocus(() => show(found));
  }

  /** Change the body and leave the focus where it was: on what has the same `data-key`. */
  keepingFocus(change) {
    const key = this.body.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    change();
    if (key) this.body.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
  }

  #fault(error) {
    this.body.removeAttribute("aria-busy");
    const again = () => {
      this.body.replaceChildren(reading());
      this.refresh();
    };
    if (this.#shown === null) {
      if (this.body.querySelector("form")?.contains(document.activeElement)) return; // a token is being typed
      this.body.replaceChildren(fault(error, again));
      return;
    }
    const text = `Not up to date: ${error.message}`;
    const held = this.head.querySelector(".stale");
    if (held) setText(held, text);
    else this.head.append(el("p", { class: "stale", role: "alert" }, text));
  }
}
