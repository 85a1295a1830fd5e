/** The verification of a signal: what the tracker found, and the hash that this browser computes itself. */

import { el, facts } from "./dom.js";

const MARKS = { true: ["✓", "ok", "passes"], false: ["✗", "bad", "fails"], null: ["–", "unknown", "nothing to check yet"] };

/** A number as the record writes it: those fields are decimals even where they are whole. */
const decimal = (value) => (Number.isInteger(value) ? `${value}.0` : String(value));

/** The canonical JSON of a signal's identity: sorted keys, no white space. */
export function canonical({ action, confidence, entry, id, stop, strategy, symbol, target, ts }) {
  const fields = [
    ["action", JSON.stringify(action)],
    ["confidence", decimal(confidence)],
    ["entry", decimal(entry)],
    ["id", JSON.stringify(id)],
    ["stop", decimal(stop)],
    ["strategy", JSON.stringify(strategy)],
    ["symbol", JSON.stringify(symbol)],
    ["target", decimal(target)],
    ["ts", BigInt(ts).toString()],
  ];
  return `{${fields.map(([name, text]) => `"${name}":${text}`).join(",")}}`;
}

/** SHA-256 of the identity in hex; null where the browser has no cryptography, as away from localhost without TLS. */
export async function identity(record) {
  if (!globalThis.crypto?.subtle) return null;
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(canonical(record)));
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function ownCheck(record) {
  const found = await identity(record);
  const text = {
    null: "This browser computes no hashes on a page without TLS.",
    true: "This browser has computed the hash of the fields shown here: it is the recorded one.",
    false: `This browser computes ${found} from the fields shown here, not the recorded hash.`,
  };
  const ok = found === null ? null : found === record.sha256;
  return { name: "computed here", ok, text: text[ok] };
}

function row({ name, ok, text }) {
  const [mark, kind, told] = MARKS[ok];
  return el(
    "li",
    { class: "check" },
    el("span", { class: `check-mark check-${kind}`, role: "img", "aria-label": told }, mark),
    el("span", {}, el("strong", {}, name), " ", text),
  );
}

const link = (id) => (id ? el("a", { href: `#/signal/${encodeURIComponent(id)}` }, id) : "–");

function proof({ merkle, block, previous, next }) {
  const rows = [["signal before", link(previous)], ["signal after", link(next)]];
  if (block) rows.push([`block ${block.number} of ${block.record}, shard ${block.shard}`, block.link]);
  if (merkle?.root) rows.push([`Merkle root of ${merkle.day}, ${merkle.leaves} leaves, ${merkle.proof.length} hashes of proof`, merkle.root]);
  return facts(rows, "hashes");
}

/** What is shown of a verification; `again` repeats it. */
export async function verification(record, found, again) {
  const checks = [...found.checks, await ownCheck(record)];
  const failed = checks.filter(({ ok }) => ok === false).length;
  return el(
    "div",
    { class: "verification" },
    el(
      "p",
      { class: "verified" },
      el("span", { class: `state state-${failed ? "bad" : "ok"}` }, failed ? `${failed} of ${checks.length} checks fail` : "as it was written"),
      el("button", { class: "button", type: "button", onclick: again }, "Check again"),
    ),
    el("ul", { class: "checks" }, ...checks.map(row)),
    proof(found),
  );
}
