// A list of the API, page by page, kept current by the changes that the stream announces.
import { get } from "./api.js";
import { onChanges } from "./changes.js";
import { placed } from "./order.js";
import { problemOf } from "./store.js";
import { signal, useEffect, useMemo } from "./view.js";

/** @typedef {import("./query.js").Query} Query */
/** @typedef {import("./changes.js").Kind} Kind */
/** @typedef {{id: number} & Record<string, any>} Row */
/**
 * @typedef {object} ListState
 * @property {Row[]} rows those that were read so far
 * @property {boolean} loading whether a page is being read
 * @property {boolean} complete whether there are no more
 * @property {number | null} total how many match; null: not known
 * @property {import("./api.js").Problem | null} problem
 * @property {number} at when it was read
 */

const FIRST = 60; // what a large window shows, so that rows are there soon
const PAGE = 200;
const MOST = 1000;

export class List {
  /**
   * @param {Kind} kind
   * @param {Query} query
   * @param {{path?: string, counts?: boolean}} [options] `counts`: whether the API counts this kind
   */
  constructor(kind, query, { path = `/${kind}`, counts = false } = {}) {
    this.kind = kind;
    this.query = query;
    this.path = path;
    this.counts = counts;
    this.stop = new AbortController();
    /** @type {import("@preact/signals").Signal<ListState>} */
    this.state = signal({ rows: [], loading: true, complete: false, total: null, problem: null, at: 0 });
    /** @type {string | number | null} */
    this.next = null;
    /** @type {Promise<void>} one call after the other */
    this.turn = Promise.resolve();
  }

  /** @param {Partial<ListState>} change */
  become(change) {
    this.state.value = { ...this.state.peek(), ...change };
  }

  /** Does something when what was begun before is done. @param {() => Promise<void>} act */
  inTurn(act) {
    this.turn = this.turn.then(async () => {
      if (this.stop.signal.aborted) return;
      this.become({ loading: true });
      try {
        await act();
        this.become({ loading: false, problem: null });
      } catch (error) {
        if (!this.stop.signal.aborted) this.become({ loading: false, problem: problemOf(error) });
      }
    });
    return this.turn;
  }

  /** @param {Query} query */
  read(query) {
    return get(this.path, { ...this.query, ...query }, this.stop.signal);
  }

  /** Reads as much from the start as was read before. */
  reload() {
    return this.inTurn(async () => {
      const limit = Math.min(Math.max(this.state.peek().rows.length, FIRST), MOST);
      const page = await this.read({ limit });
      this.next = page.next;
      this.become({ rows: page.items, complete: page.next === null, at: Date.now() });
      this.become({ total: full(page) ?? (await this.count()) });
    });
  }

  /** Reads the next page. */
  more() {
    const { loading, complete } = this.state.peek();
    if (loading || complete) return;
    void this.inTurn(async () => {
      const page = await this.read({ limit: PAGE, after: this.next });
      this.next = page.next;
      const known = new Set(this.state.peek().rows.map((row) => row.id));
      const rows = [...this.state.peek().rows, ...page.items.filter((/** @type {Row} */ row) => !known.has(row.id))];
      this.become({ rows, complete: page.next === null });
    });
  }

  /** @returns {Promise<number | null>} */
  async count() {
    if (!this.counts) return null;
    const { sort: _, secrets: __, ...filter } = this.query;
    return (await get(`${this.path}/count`, filter, this.stop.signal)).total;
  }

  /** Reads rows again that have changed, all in one call. @param {Set<number> | null} ids null: any may have */
  refresh(ids) {
    if (ids === null || "id" in this.query) return this.reload();
    return this.inTurn(async () => {
      const [page, total] = await Promise.all([this.read({ id: [...ids], limit: ids.size }), this.count()]);
      const { rows, complete } = this.state.peek();
      const sort = String(this.query.sort ?? "id");
      const merged = placed(rows, ids, page.items, sort, complete);
      this.become({ rows: merged, total: total ?? (complete ? merged.length : null), at: Date.now() });
    });
  }

  close() {
    this.stop.abort();
  }
}

/** How many rows match when the first page is all. @param {{items: unknown[], next: unknown}} page */
const full = (page) => (page.next === null ? page.items.length : null);

/** Lists that were begun before their screen was shown. @type {Map<string, List>} */
const begun = new Map();

/** @param {Kind} kind @param {Query} query @param {{path?: string, counts?: boolean}} options */
const keyOf = (kind, query, options) => JSON.stringify([kind, query, options]);

/**
 * Begins to read a list that the first screen is about to show.
 * @param {Kind} kind
 * @param {Query} query
 * @param {{path?: string, counts?: boolean}} [options]
 */
export function beginList(kind, query, options = {}) {
  const list = new List(kind, query, options);
  begun.set(keyOf(kind, query, options), list);
  void list.reload();
}

/**
 * A list while the component is shown.
 * @param {Kind} kind
 * @param {Query} query
 * @param {{path?: string, counts?: boolean}} [options]
 */
export function useList(kind, query, options = {}) {
  const key = keyOf(kind, query, options);
  const list = useMemo(() => begun.get(key) ?? new List(kind, query, options), [key]);
  useEffect(() => {
    if (begun.get(key) !== list) void list.reload();
    begun.clear();
    const end = onChanges((changes) => {
      const ids = changes.get(kind);
      if (ids !== undefined) void list.refresh(ids);
    });
    return () => {
      end();
      list.close();
    };
  }, [list]);
  return list;
}
