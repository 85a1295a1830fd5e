/** The page: one live connection, one store, and the view that the address asks for. */

import { api } from "./api.js";
import { setText } from "./dom.js";
import { Live } from "./live.js";
import { Masthead } from "./masthead.js";
import { SignalStore } from "./store.js";
import { installTheme } from "./theme.js";
import { SignalView } from "./views/signal.js";
import { SignalsView } from "./views/signals.js";
import { SystemView } from "./views/system.js";

const STATS_EVERY_MS = 2000;
const REFRESH_EVERY_MS = 2000;
const ANNOUNCE_EVERY_MS = 6000;

const view = document.getElementById("view");
const masthead = new Masthead();
const store = new SignalStore();
const live = new Live();
const signals = new SignalsView(store, live);
let shown = null;
let scroll = 0;
let refreshTimer = null;
let announced = 0;
let unsaid = 0;

function refreshSoon() {
  refreshTimer ??= setTimeout(() => {
    refreshTimer = null;
    signals.refresh();
  }, REFRESH_EVERY_MS);
}

/** Tell screen readers of new signals, not more often than one can listen. */
function announce(fresh) {
  unsaid += fresh.length;
  if (!fresh.length || Date.now() - announced < ANNOUNCE_EVERY_MS) return;
  const { action, symbol, entry, confidence } = fresh.at(-1);
  const text = `${action} ${symbol} at ${entry}, confidence ${Math.round(confidence)}`;
  setText(document.getElementById("announcer"), unsaid > 1 ? `${unsaid} new signals, the latest: ${text}` : `New signal: ${text}`);
  announced = Date.now();
  unsaid = 0;
}

live.addEventListener("state", ({ detail }) => masthead.link(detail));
live.addEventListener("open", () => signals.refresh());
live.addEventListener("frame", ({ detail }) => {
  const { fresh, skipped } = store.apply(detail);
  if (fresh.length) masthead.flash();
  if (skipped) refreshSoon();
  announce(fresh);
  signals.changed(fresh.length);
  const record = shown?.id && store.get(shown.id);
  if (record) shown.view.update(record);
});

async function stats() {
  if (!document.hidden) {
    try {
      masthead.stats(await api.stats());
    } catch {
      // The totals stay as they were; the state of the connection tells the reader.
    }
  }
  setTimeout(stats, STATS_EVERY_MS);
}

function route() {
  const [, name = "", id = ""] = location.hash.split("/");
  const from = shown;
  if (from?.name === "signals") scroll = window.scrollY;
  from?.view.close?.();
  if (name === "signal" && id) {
    const known = decodeURIComponent(id);
    shown = { name, id: known, view: new SignalView(known, store.get(known)) };
  } else if (name === "system") {
    shown = { name, view: new SystemView() };
  } else {
    shown = { name: "signals", view: signals };
  }
  masthead.view(shown.name);
  document.title = { signal: "Signal", system: "System" }[shown.name]?.concat(" · Heliograph") ?? "Heliograph";
  view.replaceChildren(shown.view.node);
  window.scrollTo(0, shown.name === "signals" ? scroll : 0);
  if (!from) return;
  if (shown.name === "signals") {
    signals.render();
    if (from.id) signals.focus(from.id);
  } else {
    shown.view.node.querySelector("h1")?.focus({ preventScroll: true });
  }
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && shown?.name !== "signals" && !event.defaultPrevented) location.hash = "#/";
});
window.addEventListener("hashchange", route);
installTheme(document.getElementById("theme"), () => {
  signals.draw();
  shown?.view.drawChart?.();
});
document.fonts.ready.then(() => signals.draw());

route();
live.connect();
stats();
