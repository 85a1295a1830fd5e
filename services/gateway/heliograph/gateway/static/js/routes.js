/** The pages by the first part of the address; what a page needs is loaded when it is first opened. */

import { style } from "./page.js";

const pages = {
  signal: { title: "Signal", tab: "signals", styles: ["pages", "signal"], load: () => import("./views/signal.js") },
  symbols: { title: "Symbols", styles: ["pages"], load: () => import("./views/symbols.js") },
  outcomes: { title: "Outcomes", styles: ["pages", "figures"], load: () => import("./views/outcomes.js") },
  calibration: { title: "Calibration", styles: ["pages", "figures"], load: () => import("./views/calibration.js") },
  sources: { title: "Sources", styles: ["pages", "figures"], load: () => import("./views/sources.js") },
  spend: { title: "Spend", styles: ["pages", "figures"], load: () => import("./views/spend.js") },
  panel: { title: "Panel", styles: ["pages", "panel"], load: () => import("./views/panel.js") },
  run: { title: "Panel run", tab: "panel", styles: ["pages", "panel"], load: () => import("./views/run.js") },
  alerts: { title: "Alerts", styles: ["pages", "alerts"], load: () => import("./views/alerts.js") },
  system: { title: "System", styles: ["pages", "system"], load: () => import("./views/system.js") },
};

/** What the address asks for: `{name, argument, page}`; `page` is null for the live list. */
export function wanted(hash) {
  const [, name = "", argument = ""] = hash.split("/");
  let decoded = argument;
  try {
    decoded = decodeURIComponent(argument);
  } catch {
    // An address that somebody broke is taken as it stands.
  }
  const page = Object.hasOwn(pages, name) ? pages[name] : null;
  return page ? { name, argument: decoded, page } : { name: "signals", argument: name === "symbol" ? decoded : "", page: null };
}

/** Make a page's view: its module's default export, given the argument and what the application shares. */
export async function open(page, argument, shared) {
  const [module] = await Promise.all([page.load(), ...page.styles.map(style)]);
  return new module.default(argument, shared);
}
