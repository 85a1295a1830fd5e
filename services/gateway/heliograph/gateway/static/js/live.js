/** The live connection: frames as they come; a lost one is tried again, ever more slowly, for ever. */

const FIRST_WAIT_MS = 400;
const LONGEST_WAIT_MS = 15_000;

export class Live extends EventTarget {
  #symbol = null;
  #socket = null;
  #timer = null;
  #tries = 0;

  /** Listen to one symbol, or to all with null. */
  connect(symbol = this.#symbol) {
    this.#symbol = symbol;
    this.#drop();
    this.#open();
  }

  #drop() {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }

  #open() {
    const url = new URL("/live", location.href);
    url.protocol = url.protocol.replace("http", "ws");
    if (this.#symbol) url.searchParams.set("symbol", this.#symbol);
    const socket = new WebSocket(url);
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
