/** What needs a person now, and what did. */

import { api } from "../api.js";
import { el } from "../dom.js";
import { count, duration, moment } from "../format.js";
import { Page, said } from "../page.js";

const NS_PER_MS = 1e6;

function length(alert) {
  const end = alert.ended_ts ?? Date.now() * NS_PER_MS;
  return duration(Math.max(0, end - alert.since_ts));
}

function alertCard(alert) {
  const firing = alert.state === "firing";
  return el(
    "li",
    { class: `panel alert alert-${firing ? alert.severity : "resolved"}` },
    el(
      "div",
      { class: "alert-head" },
      el("h2", {}, alert.name),
      el("span", { class: `state state-${firing ? (alert.severity === "critical" ? "bad" : "warn") : "ok"}` }, firing ? alert.severity : "resolved"),
    ),
    el("p", { class: "alert-summary" }, alert.summary),
    firing && alert.remedy ? el("p", { class: "alert-remedy" }, el("strong", {}, "What to do: "), alert.remedy) : null,
    el("p", { class: "faint" }, firing ? `since ${moment(alert.since_ts)}, ${length(alert)}` : `${moment(alert.since_ts)} to ${moment(alert.ended_ts)}, ${length(alert)}`),
  );
}

const list = (label, alerts) => el("ul", { class: "alerts", "aria-label": label }, ...alerts.map(alertCard));

export default class AlertsView extends Page {
  constructor() {
    super("Alerts");
    this.follow((signal) => api.alerts({}, signal), (found) => this.#show(found));
  }

  #show({ alerts }) {
    const firing = alerts.filter(({ state }) => state === "firing");
    const over = alerts.filter(({ state }) => state !== "firing");
    this.note.textContent = firing.length ? `${count(firing.length)} firing` : "";
    this.body.replaceChildren(
      firing.length ? list("Firing", firing) : said("Nothing fires", "Every rule is quiet."),
      over.length ? el("h2", { class: "section" }, "Resolved in the last seven days") : "",
      over.length ? list("Resolved", over) : "",
    );
  }
}
