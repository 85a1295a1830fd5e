/** How long the newest signals took from the fetch of their bars to each step, out of their traces. */

import { api } from "./api.js";

export const SIGNALS = 12;
const SIGNAL_ATTRIBUTE = "heliograph.signal";
const FIRST = "fetch bars";
const STEPS = [
  ["decide", "the decision"],
  ["record", "its record in Postgres"],
  ["explain", "its reason"],
  ["archive", "the archive"],
];

/** Nanoseconds from the start of the fetch to the end of each step of one signal; steps that have no span are left out. */
export function stepsOf(spans, id) {
  const own = spans.filter(({ attributes }) => (attributes[SIGNAL_ATTRIBUTE] ?? id) === id);
  const begin = own.find(({ name }) => name === FIRST)?.start_ns;
  if (begin === undefined) return {};
  const ends = STEPS.map(([name]) => [name, own.filter((span) => span.name === name).map((span) => span.end_ns - begin)]);
  return Object.fromEntries(ends.filter(([, found]) => found.length).map(([name, found]) => [name, Math.min(...found)]));
}

/** The steps with the times of the newest signals, shortest first; what cannot be read of some is left out. */
export async function measure(signal) {
  const { signals } = await api.signals({ limit: SIGNALS }, signal);
  const read = await Promise.allSettled(signals.map(async ({ id }) => stepsOf((await api.trace(id, signal)).spans, id)));
  const found = read.filter(({ status }) => status === "fulfilled").map(({ value }) => value);
  if (read.length && !found.length) throw read[0].reason;
  const steps = STEPS.map(([key, name]) => {
    const times = found.map((each) => each[key]).filter((time) => time !== undefined);
    return { name, times: times.sort((a, b) => a - b) };
  });
  return steps.filter(({ times }) => times.length);
}
