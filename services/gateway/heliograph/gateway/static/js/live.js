/** The live connection: frames as they come; a lost one is tried again, ever more slowly, for ever. */

import { protocols } from "./token.js";

const FIRST_WAIT_MS = 400;
const LONGEST_WAIT_MS = 15_000;

export class Live extends EventTarget {
  #query;
  #socket = null;
  #timer = null;
  #tries = 0;

  /** @param {object} query of /live, e.g. `{kinds: "verdict", run: "r1"}` */
  constructor(query = {}) {
    super();
    this.#query = query;
  }

  /** Listen; to one symbol only when it is given, to all with null. */
  connect(symbol = this.#query.symbol ?? null) {
    this.#query = { ...this.#query, symbol };
    this.close();
    this.#open();
  }

  /** Listen no more. */
  close() {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }

  #open() {
    const url = new URL("/live", location.href);
    url.protocol = url.protocol.replace("http", "ws");
    for (const [key, value] of Object.entries(this.#query)) if (value) url.searchParams.set(key, value);
    const socket = new WebSocket(url, protocols());
    this.#socket = socket;
    this.#tell("state", { state: "connecting", text: "Connecting" });
    socket.addEventListener("open", () => {
      if (socket !== this.#socket) return;
      this.#tries = 0;
      this.#tell("state", { state: "live", text: "Live" });
      this.#tell("open", {});
    });
    socket.addEventListener("message", (event) => {
      if (socket === this.#socket) this.#tell("frame", JSON.parse(event.data));
    });
    socket.addEventListener("close", () => {
      if (socket === this.#socket) this.#retry();
    });
  }

  #retry() {
    const longest = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.#tries);
    const wait = longest * (0.5 + Math.random() / 2);
    this.#tries += 1;
    const text = wait < 1000 ? "Reconnecting" : `Reconnecting in ${Math.ceil(wait / 1000)} s`;
    this.#tell("state", { state: "lost", text });
    this.#timer = setTimeout(() => this.#open(), wait);
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
