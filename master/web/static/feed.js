// The log of events, newest first: older ones page by page, and new ones as they come, unless it is paused.
import { get } from "./api.js";
import { onChanges } from "./changes.js";
import { problemOf, refreshed } from "./store.js";
import { signal, useEffect, useMemo } from "./view.js";

/** @typedef {import("./query.js").Query} Query */
/** @typedef {import("./list.js").Row} Row */
/**
 * @typedef {import("./list.js").ListState & {fresh: Row[], lost: "forgotten" | "ahead" | null}} FeedState
 *     `fresh`: events that came during a pause. `lost`: why events are missing between two that are shown
 */

const PAGE = 100;
const NEWS = 200;
const MOST = 10_000;
const PAUSE_MS = 250;

/** Puts new events, oldest first, over those that are shown. Pure. @param {Row[]} rows @param {Row[]} news */
export function over(rows, news) {
  const last = rows[0]?.id ?? 0;
  const added = news.filter((one) => one.id > last);
  return added.length ? [...added.reverse(), ...rows].slice(0, MOST) : rows;
}

/** Whether the events that are asked for end in the past. @param {Query} query */
export const isPast = (query) => "until" in query || "before" in query;

export class Feed {
  /** @param {Query} query */
  constructor(query) {
    this.query = query;
    this.isPaused = false;
    this.stop = new AbortController();
    /** @type {import("@preact/signals").Signal<FeedState>} */
    this.state = signal(
      /** @type {FeedState} */ ({
        rows: [],
        fresh: [],
        lost: null,
        loading: true,
        complete: false,
        total: null,
        problem: null,
        at: 0,
      }),
    );
    /** @type {Promise<void>} one call after the other */
    this.turn = Promise.resolve();
  }

  /** Makes a call when the former one is done. @param {Query} query @param {(page: any) => Partial<FeedState> | null} take */
  read(query, take) {
    this.turn = this.turn.then(async () => {
      if (this.stop.signal.aborted) return;
      try {
        const page = await get("/events", { ...this.query, ...query }, this.stop.signal);
        this.become({ ...take(page), loading: false, problem: null, at: Date.now() });
      } catch (error) {
        if (!this.stop.signal.aborted) this.become({ loading: false, problem: problemOf(error) });
      }
    });
    return this.turn;
  }

  /** @param {Partial<FeedState>} change */
  become(change) {
    this.state.value = { ...this.state.peek(), ...change };
  }

  reload() {
    return this.read({ order: "desc", limit: PAGE }, (page) => ({
      rows: page.items,
      fresh: [],
      complete: page.next === null,
    }));
  }

  /** Reads older events. */
  more() {
    const { loading, complete, rows } = this.state.peek();
    if (loading || complete) return;
    this.become({ loading: true });
    void this.read({ order: "desc", limit: PAGE, before: rows.at(-1)?.id }, (page) => ({
      rows: [...this.state.peek().rows, ...page.items],
      complete: page.next === null,
    }));
  }

  /** Reads what came after the newest event that is known. */
  async news() {
    const { rows, fresh } = this.state.peek();
    const after = fresh.at(-1)?.id ?? rows[0]?.id ?? 0;
    let isFull = false;
    await this.read({ order: "asc", limit: NEWS, after, until: null, before: null }, (page) => {
      isFull = page.next !== null;
      const known = this.state.peek();
      const lost = page.reset ?? known.lost;
      if (page.reset === "ahead") return { rows: [], fresh: [], complete: false, lost };
      if (this.isPaused) return { fresh: [...known.fresh, ...page.items].slice(-MOST), lost };
      const next = over(known.rows, page.items);
      return { rows: next, lost, complete: known.complete && next.length < MOST };
    });
    if (this.state.peek().lost === "ahead" && this.state.peek().rows.length === 0) await this.reload();
    return isFull;
  }

  /** @param {boolean} isPaused */
  pause(isPaused) {
    this.isPaused = isPaused;
    const { rows, fresh } = this.state.peek();
    if (!isPaused) this.become({ rows: over(rows, fresh), fresh: [] });
  }

  close() {
    this.stop.abort();
  }
}

/** The events of a query while the component is shown. @param {Query} query @returns {Feed} */
export function useFeed(query) {
  const key = JSON.stringify(query);
  const feed = useMemo(() => new Feed(query), [key]);
  useEffect(() => {
    const news = refreshed(async () => {
      while (await feed.news());
    }, PAUSE_MS);
    void feed.reload();
    const end = onChanges((changes) => {
      if (changes.has("events") && !isPast(query)) void news.refresh();
    });
    return () => {
      end();
      news.close();
      feed.close();
    };
  }, [feed]);
  return feed;
}
