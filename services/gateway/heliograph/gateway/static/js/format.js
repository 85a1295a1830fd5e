/** How numbers and times are written. Event times come in nanoseconds. */

const NS_PER_MS = 1e6;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const MINUS = "−";
const whole = new Intl.NumberFormat("en-GB");

const pad = (number) => String(number).padStart(2, "0");

/** A date in UTC: 18 Dec 2013. */
export function date(ns) {
  const at = new Date(ns / NS_PER_MS);
  return `${at.getUTCDate()} ${MONTHS[at.getUTCMonth()]} ${at.getUTCFullYear()}`;
}

/** A time of day in UTC: 14:30. */
export function clock(ns) {
  const at = new Date(ns / NS_PER_MS);
  return `${pad(at.getUTCHours())}:${pad(at.getUTCMinutes())}`;
}

/** A count with separators. */
export const count = (number) => whole.format(number);

/** A price with as many decimals as its size asks for, at least two. */
export function price(value) {
  const decimals = value >= 1 ? 2 : Math.min(8, 3 - Math.floor(Math.log10(value)));
  return value.toLocaleString("en-GB", { minimumFractionDigits: 2, maximumFractionDigits: Math.max(2, decimals) });
}

/** A number with its sign always shown. */
export function signed(value, decimals) {
  const text = Math.abs(value).toFixed(decimals);
  return value < 0 && Number(text) !== 0 ? `${MINUS}${text}` : `+${text}`;
}

/** A share of one as percent. */
export const percent = (share, decimals = 0) => `${(100 * share).toFixed(decimals)}\u00a0%`;

/** A length of time, given in nanoseconds. */
export function duration(ns) {
  const us = ns / 1e3;
  if (us < 1000) return `${us.toFixed(0)} µs`;
  const ms = us / 1000;
  if (ms < 1000) return `${ms.toFixed(ms < 10 ? 1 : 0)} ms`;
  const seconds = ms / 1000;
  if (seconds < 120) return `${seconds.toFixed(seconds < 10 ? 2 : 1)} s`;
  const minutes = seconds / 60;
  if (minutes < 120) return `${minutes.toFixed(0)} min`;
  return minutes < 2880 ? `${(minutes / 60).toFixed(0)} h` : `${(minutes / 1440).toFixed(0)} d`;
}

/** Bytes in binary units. */
export function bytes(size) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const step = size > 0 ? Math.min(units.length - 1, Math.floor(Math.log2(size) / 10)) : 0;
  return `${(size / 1024 ** step).toFixed(step ? 1 : 0)} ${units[step]}`;
}

/** Dollars: cents where it is money, more digits where it is a fraction of a cent. */
export function dollars(value) {
  const decimals = value === 0 || Math.abs(value) >= 0.1 ? 2 : 5;
  return `$${value.toLocaleString("en-GB", { minimumFractionDigits: decimals, maximumFractionDigits: decimals })}`;
}

/** A number that may not be known yet. */
export const known = (value, write) => (value === null || value === undefined ? "–" : write(value));

/** A date and a time of day in UTC. */
export const moment = (ns) => `${date(ns)} ${clock(ns)}`;
