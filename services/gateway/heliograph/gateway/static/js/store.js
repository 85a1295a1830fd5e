/** The newest signals with their reasons and outcomes, in whatever order these came. */

const PAGE = 100;
const EARLY_LIMIT = 2000;

const newestFirst = (a, b) => b.ts - a.ts || (a.id < b.id ? 1 : -1);

export class SignalStore {
  #records = new Map();
  #early = new Map();
  #capacity = PAGE;

  /** Newest first. */
  list() {
    return [...this.#records.values()].sort(newestFirst).slice(0, this.#capacity);
  }

  get(id) {
    return this.#records.get(id) ?? null;
  }

  clear() {
    this.#records.clear();
    this.#early.clear();
    this.#capacity = PAGE;
  }

  /** Take what the API gave; returns how many were new. */
  load(signals) {
    const before = this.#records.size;
    for (const record of signals) {
      const held = this.#records.get(record.id);
      this.#records.set(record.id, {
        ...record,
        reason: record.reason ?? held?.reason ?? null,
        outcome: record.outcome ?? held?.outcome ?? null,
      });
    }
    return this.#records.size - before;
  }

  /** Make room for a further page of older signals. */
  grow() {
    this.#capacity += PAGE;
  }

  /** Take one frame of live messages; returns the new signals in it and how many messages were skipped. */
  apply(frame) {
    const fresh = [];
    let skipped = 0;
    for (const { type, data } of frame) {
      if (type === "skipped") skipped += data.count;
      else if (type === "signal") this.#signal(data, fresh);
      else this.#addition(type, data);
    }
    this.#trim();
    return { fresh, skipped };
  }

  #signal(data, fresh) {
    if (this.#records.has(data.id)) return;
    const early = this.#early.get(data.id);
    this.#early.delete(data.id);
    const record = { ...data, reason: early?.reason ?? null, outcome: early?.outcome ?? null };
    this.#records.set(data.id, record);
    fresh.push(record);
  }

  /** A reason or an outcome; one that comes before its signal waits for it. */
  #addition(type, data) {
    const held = this.#records.get(data.signal);
    if (held) {
      this.#records.set(data.signal, { ...held, [type]: data });
      return;
    }
    this.#early.set(data.signal, { ...this.#early.get(data.signal), [type]: data });
    if (this.#early.size > EARLY_LIMIT) this.#early.delete(this.#early.keys().next().value);
  }

  #trim() {
    if (this.#records.size <= 2 * this.#capacity) return;
    this.#records = new Map(this.list().map((record) => [record.id, record]));
  }
}
