/** Questions to the gateway's API. */

export class ApiError extends Error {
  /** @param {number} status @param {string} text what the gateway says is wrong */
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

async function get(path, query = {}, signal = undefined) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined);
  const search = new URLSearchParams(given.map(([key, value]) => [key, String(value)]));
  let answer;
  try {
    answer = await fetch(`${path}${given.length ? `?${search}` : ""}`, { signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "The gateway does not answer.");
  }
  const body = await answer.json().catch(() => ({ error: answer.statusText }));
  if (!answer.ok) throw new ApiError(answer.status, body.error ?? answer.statusText);
  return body;
}

export const api = {
  signals: (query, signal) => get("/api/signals", query, signal),
  signal: (id, signal) => get(`/api/signals/${encodeURIComponent(id)}`, {}, signal),
  stats: () => get("/api/stats"),
  bars: (query, signal) => get("/api/bars", query, signal),
  trace: (id, signal) => get("/api/trace", { signal: id }, signal),
  system: (signal) => get("/api/system", {}, signal),
};
