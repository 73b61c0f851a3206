// The one door to the event stream: one tab reads it, all tabs of the browser get it.
import { openStream } from "./api.js";
import { stand } from "./leader.js";
import { frames } from "./sse.js";
import { isLoginNeeded } from "./token.js";
import { signal } from "./view.js";

/** @typedef {import("./sse.js").Frame} Frame */
/**
 * @typedef {{type: "event", event: any} | {type: "touched", kind: string, ids: number[] | null} | {type: "reset", reason: string}} News
 *     `reset`: something may have been missed, so what is shown has to be read again.
 */
/**
 * @typedef {object} Live
 * @property {"connecting" | "live" | "cut" | "resting"} state
 * @property {number} since when the state began, and for "cut" when the master was last heard
 * @property {number | null} event the id of the newest event that is known
 * @property {number} lag milliseconds from the latest event to its arrival
 */

const SILENCE_MS = 25_000; // a heartbeat comes every 15 s
const FIRST_WAIT_MS = 500;
const LAST_WAIT_MS = 15_000;
const REST_MS = 60_000;

/** @type {import("@preact/signals").Signal<Live>} */
export const live = signal(/** @type {Live} */ ({ state: "connecting", since: Date.now(), event: null, lag: 0 }));
/** Milliseconds by which the master's clock is ahead of this one. */
let ahead = 0;
let heardAt = Date.now();

/** @type {Set<(news: News) => void>} */
const readers = new Set();
const channel = globalThis.window && new BroadcastChannel("maybe.stream");

/** Calls a function with all news until its result is called. @param {(news: News) => void} reader */
export function onNews(reader) {
  readers.add(reader);
  return () => readers.delete(reader);
}

/** @param {{news?: News[], live?: Live, asks?: boolean}} message */
function tell(message) {
  channel?.postMessage(message);
  receive(message);
}

/** @param {{news?: News[], live?: Live}} message */
function receive(message) {
  if (message.live) live.value = message.live;
  for (const news of message.news ?? []) for (const reader of readers) reader(news);
}

/** @param {Partial<Live>} change */
const become = (change) => tell({ live: { ...live.peek(), ...change } });

/** @param {Frame} frame @returns {News | null} */
function newsOf(frame) {
  const data = frame.data === null ? null : JSON.parse(frame.data);
  if (frame.type === "hello") {
    if (data.time) ahead = Date.parse(data.time) - Date.now();
    return null;
  }
  if (frame.type === "touched") return { type: "touched", kind: data.kind, ids: data.ids };
  if (frame.type === "reset") return { type: "reset", reason: data.reason };
  return data && { type: "event", event: data };
}

/** @param {Frame[]} found */
function take(found) {
  const news = found.map(newsOf).filter((one) => one !== null);
  const ids = found.map((one) => one.id).filter(Boolean);
  const hello = found.find((one) => one.type === "hello")?.data;
  const last = ids.length ? Number(ids.at(-1)) : (live.peek().event ?? (hello ? JSON.parse(hello).last : null));
  const latest = news.findLast((one) => one.type === "event");
  const lag = latest ? Math.max(0, Date.now() + ahead - Date.parse(latest.event.at)) : live.peek().lag;
  const since = live.peek().state === "live" ? live.peek().since : Date.now();
  tell({ news, live: { state: "live", since, event: last, lag } });
}

/** Reads the stream until it ends. Throws when it is cut. @param {AbortSignal} stop */
async function readOnce(stop) {
  const cut = new AbortController();
  const signal = AbortSignal.any([stop, cut.signal]);
  let timer = setTimeout(() => cut.abort(), SILENCE_MS);
  try {
    const reader = await openStream(live.peek().event, signal);
    const decoder = new TextDecoder();
    tell({ news: [{ type: "reset", reason: "connected" }] });
    for (let text = "", rest = ""; ; text = rest) {
      const { done, value } = await reader.read();
      if (done) return;
      heardAt = Date.now();
      clearTimeout(timer);
      timer = setTimeout(() => cut.abort(), SILENCE_MS);
      /** @type {Frame[]} */
      let found;
      [found, rest] = frames(text + decoder.decode(value, { stream: true }));
      take(found);
    }
  } finally {
    clearTimeout(timer);
  }
}

/** @param {number} ms @param {AbortSignal} stop */
const pause = (ms, stop) =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    stop.addEventListener("abort", () => [clearTimeout(timer), resolve(null)], { once: true });
  });

/** Reads the stream again and again. @param {AbortSignal} stop */
async function follow(stop) {
  for (let wait = FIRST_WAIT_MS; !stop.aborted; wait = Math.min(wait * 2, LAST_WAIT_MS)) {
    const began = Date.now();
    if (!isLoginNeeded.peek()) await readOnce(stop).catch(() => null); // whatever it is, the footer says that the stream is cut
    if (stop.aborted) return;
    if (live.peek().state !== "cut") become({ state: "cut", since: heardAt });
    if (Date.now() - began > SILENCE_MS) wait = FIRST_WAIT_MS;
    await pause(wait * (0.5 + Math.random()), stop);
  }
}

/** Follows the stream while the page is looked at. A tab that nobody looks at rests after a minute. */
export function startStream() {
  if (!channel) return;
  channel.onmessage = ({ data }) => {
    if (isResting) return;
    if (data.asks) isLeading && channel.postMessage({ live: live.peek() });
    else receive(data);
  };
  let candidacy = new AbortController();
  let isLeading = false;
  let isResting = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let resting;
  const lead = (/** @type {AbortSignal} */ stop) => {
    isLeading = true;
    void follow(stop).finally(() => {
      isLeading = false;
    });
  };
  const rest = () => {
    isResting = true;
    candidacy.abort();
    live.value = { ...live.peek(), state: "resting", since: Date.now() };
  };
  const wake = () => {
    clearTimeout(resting);
    if (!isResting) return;
    isResting = false;
    candidacy = new AbortController();
    live.value = { ...live.peek(), state: "connecting", since: Date.now() };
    channel.postMessage({ asks: true });
    receive({ news: [{ type: "reset", reason: "rested" }] });
    stand(lead, candidacy.signal);
  };
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) resting = setTimeout(rest, REST_MS);
    else wake();
  });
  channel.postMessage({ asks: true });
  stand(lead, candidacy.signal);
}
