/** The token of the API, where the gateway wants one: kept for this tab only, never in an address. */

const KEY = "heliograph-token";
let held = "";

function storage(act) {
  try {
    return act(sessionStorage);
  } catch {
    return null; // a browser that stores nothing asks again after a reload
  }
}

/** The token, or an empty text. */
export function token() {
  held ||= storage((store) => store.getItem(KEY)) ?? "";
  return held;
}

/** Use this one from now on. */
export function keep(text) {
  held = text;
  storage((store) => store.setItem(KEY, text));
}

/** What a WebSocket offers instead of a header, which browsers cannot set. */
export function protocols() {
  const key = token();
  if (!key) return [];
  const bytes = new TextEncoder().encode(key);
  const plain = btoa(String.fromCharCode(...bytes));
  return ["heliograph.live", `bearer.${plain.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")}`];
}
