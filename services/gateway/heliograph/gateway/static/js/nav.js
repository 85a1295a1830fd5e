/** The pages' menu: a row of links, behind a button where the screen is narrow. */

import { setText } from "./dom.js";

export class Nav {
  #button = document.getElementById("menu");
  #tabs = document.getElementById("tabs");
  #firing = document.getElementById("firing");

  constructor() {
    this.#button.addEventListener("click", () => this.#set(this.#button.getAttribute("aria-expanded") !== "true"));
    document.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || this.#button.getAttribute("aria-expanded") !== "true") return;
      event.preventDefault();
      this.#set(false);
      this.#button.focus();
    }, { capture: true });
    document.addEventListener("click", (event) => {
      if (!event.target.closest("#menu, #tabs")) this.#set(false);
    });
    this.#tabs.addEventListener("keydown", (event) => this.#move(event));
  }

  /** Mark the page that is shown. */
  mark(name) {
    this.#set(false);
    for (const link of this.#tabs.querySelectorAll("a")) {
      if (link.dataset.view !== name) {
        link.removeAttribute("aria-current");
        continue;
      }
      link.setAttribute("aria-current", "page");
      setText(document.getElementById("menu-text"), link.firstChild.textContent);
    }
  }

  /** How many alerts fire now. */
  alerts(number) {
    this.#firing.hidden = number === 0;
    setText(this.#firing, number ? `${number}` : "");
    this.#firing.setAttribute("title", `${number} firing`);
  }

  #set(open) {
    this.#button.setAttribute("aria-expanded", String(open));
    this.#tabs.toggleAttribute("data-open", open);
  }

  #move(event) {
    const step = { ArrowRight: "nextElementSibling", ArrowLeft: "previousElementSibling" }[event.key];
    if (!step) return;
    event.preventDefault();
    event.target.closest("a")?.[step]?.focus();
  }
}
