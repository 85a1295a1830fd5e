/** Questions to the gateway's API. */

import { token } from "./token.js";

export class ApiError extends Error {
  /** @param {number} status 0 where nothing answered @param {string} text what the gateway says is wrong */
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

async function ask(path, options) {
  const key = token();
  const headers = { ...options.headers, ...(key ? { Authorization: `Bearer ${key}` } : {}) };
  let answer;
  try {
    answer = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "The gateway does not answer.");
  }
  const body = await answer.json().catch(() => ({ error: answer.statusText }));
  if (!answer.ok) throw new ApiError(answer.status, body.error ?? answer.statusText);
  return body;
}

function get(path, query = {}, signal = undefined) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const search = new URLSearchParams(given.map(([key, value]) => [key, String(value)]));
  return ask(`${path}${given.length ? `?${search}` : ""}`, { signal });
}

function post(path, body) {
  return ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
}

export const api = {
  signals: (query, signal) => get("/api/signals", query, signal),
  signal: (id, signal) => get(`/api/signals/${encodeURIComponent(id)}`, {}, signal),
  stats: () => get("/api/stats"),
  bars: (query, signal) => get("/api/bars", query, signal),
  trace: (id, signal) => get("/api/trace", { signal: id }, signal),
  verify: (id, signal) => get(`/api/verify/${encodeURIComponent(id)}`, {}, signal),
  symbols: (query, signal) => get("/api/symbols", query, signal),
  outcomes: (query, signal) => get("/api/outcomes", query, signal),
  positions: (query, signal) => get("/api/positions", query, signal),
  performance: (query, signal) => get("/api/performance", query, signal),
  calibration: (signal) => get("/api/calibration", {}, signal),
  sources: (signal) => get("/api/sources", {}, signal),
  spend: (signal) => get("/api/spend", {}, signal),
  spendDays: (signal) => get("/api/history/spend/days", {}, signal),
  spendSignals: (query, signal) => get("/api/history/spend/signals", query, signal),
  runs: (query, signal) => get("/api/runs", query, signal),
  run: (id, signal) => get(`/api/runs/${encodeURIComponent(id)}`, {}, signal),
  start: (body) => post("/api/run", body),
  alerts: (query, signal) => get("/api/alerts", query, signal),
  system: (signal) => get("/api/system", {}, signal),
  health: (level, signal) => get("/api/health", { level }, signal),
};
