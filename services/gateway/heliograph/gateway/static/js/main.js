/** The application: one live connection, one store, and the page that the address asks for. */

import { api } from "./api.js";
import { setText } from "./dom.js";
import { Live } from "./live.js";
import { Masthead } from "./masthead.js";
import { Nav } from "./nav.js";
import { Page, fault } from "./page.js";
import { open, wanted } from "./routes.js";
import { SignalStore } from "./store.js";
import { installTheme } from "./theme.js";
import { SignalsView } from "./views/signals.js";

const STATS_EVERY_MS = 3000;
const ALERTS_EVERY_MS = 15_000;
const REFRESH_EVERY_MS = 2000;
const ANNOUNCE_EVERY_MS = 6000;

const view = document.getElementById("view");
const masthead = new Masthead();
const nav = new Nav();
const store = new SignalStore();
const live = new Live({ kinds: "signal,reason,outcome,alert" });
const signals = new SignalsView(store, live);
let shown = null;
let scroll = 0;
let refreshTimer = null;
let alertTimer = null;
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

function take(frame) {
  const alerted = frame.some(({ type }) => type === "alert");
  const { fresh, skipped } = store.apply(frame.filter(({ type }) => type !== "alert"));
  if (fresh.length) masthead.flash();
  if (skipped) refreshSoon();
  announce(fresh);
  signals.changed(fresh.length);
  const record = shown?.name === "signal" && store.get(shown.argument);
  if (record) shown.view?.update(record);
  if (!alerted) return;
  alerts();
  if (shown?.name === "alerts") shown.view?.refresh();
}

live.addEventListener("state", ({ detail }) => masthead.link(detail));
live.addEventListener("open", () => signals.refresh());
live.addEventListener("frame", ({ detail }) => take(detail));

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

async function alerts() {
  clearTimeout(alertTimer);
  try {
    nav.alerts((await api.alerts({ state: "firing" })).alerts.length);
  } catch {
    // Their number stays as it was.
  }
  alertTimer = setTimeout(alerts, ALERTS_EVERY_MS);
}

function place(from) {
  view.replaceChildren(shown.view.node);
  window.scrollTo(0, shown.name === "signals" ? scroll : 0);
  if (!from) return;
  if (shown.name === "signals") {
    signals.render();
    if (from.name === "signal") signals.focus(from.argument);
  } else {
    shown.view.node.querySelector("h1")?.focus({ preventScroll: true });
  }
}

/** A page whose own files cannot be read says so, and how to try again. */
function broken(title, error) {
  const page = new Page(title, { everyMs: 0 });
  page.body.replaceChildren(fault(error, route));
  return page;
}

async function route() {
  const { name, argument, page } = wanted(location.hash);
  const from = shown;
  if (from?.name === "signals") scroll = window.scrollY;
  from?.view?.close?.();
  const next = { name, argument, view: page ? null : signals };
  shown = next;
  nav.mark(page?.tab ?? name);
  document.body.dataset.page = name;
  document.title = page ? `${page.title} · Heliograph` : "Heliograph";
  if (page) {
    const made = await open(page, argument, { store, live }).catch((error) => broken(page.title, error));
    if (shown !== next) {
      made.close?.();
      return;
    }
    next.view = made;
  } else {
    signals.only(argument);
  }
  place(from);
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && shown?.name !== "signals" && !event.defaultPrevented) location.hash = "#/";
});
window.addEventListener("hashchange", route);
installTheme(document.getElementById("theme"), () => {
  signals.draw();
  shown?.view?.redraw?.();
});
document.fonts.ready.then(() => signals.draw());

route();
signals.refresh();
live.connect();
stats();
alerts();
