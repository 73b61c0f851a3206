// The one door to the network: every call of the page goes through here.
import { address } from "./query.js";
import { bearer, isLoginNeeded, token } from "./token.js";
import { signal } from "./view.js";

/** @typedef {import("./curl.js").Call} Call */
/** @typedef {import("./query.js").Query} Query */
/** @typedef {{status: number, data: any, headers: Headers}} Answer */

const LIMIT_MS = 30_000;

/** A refusal of the API (RFC 9457), or status 0 when the master was not reached. */
export class Problem extends Error {
  /** @param {number} status @param {any} body */
  constructor(status, body) {
    super(body.detail ?? body.title ?? `HTTP ${status}`);
    this.status = status;
    this.title = String(body.title ?? "");
    /** The members for programs: errors, wanted, possible, by_node and others. @type {any} */
    this.body = body;
  }
}

/** Whether the latest call reached the master. */
export const isReached = signal(true);

/** A random text for keys and ids; `crypto.randomUUID` exists in secure contexts only. */
export function random() {
  const bytes = crypto.getRandomValues(new Uint8Array(9));
  return Array.from(bytes, (one) => one.toString(36).padStart(2, "0")).join("");
}

/**
 * Completes a write: a request id to find it by in the log, and a key that lets it be repeated safely.
 * @param {Call & {version?: number, wait?: number}} call `version`: refuse if it has another one. `wait`: seconds
 *     for which the answer may wait until the nodes have confirmed.
 * @returns {Call}
 */
export function prepared({ version, wait, ...call }) {
  /** @type {Record<string, string>} */
  const headers = { "X-Request-Id": `page-${random()}`, ...call.headers };
  if (call.method === "POST") headers["Idempotency-Key"] = `page-${random()}`;
  if (version !== undefined) headers["If-Match"] = `"${version}"`;
  if (wait !== undefined) headers.Prefer = `wait=${wait}`;
  return { ...call, headers };
}

/** Readings under way, by their addresses. @type {Map<string, Promise<any>>} */
const underWay = new Map();

/**
 * Makes a call. Throws Problem; throws AbortError when `signal` aborts.
 * @param {Call} call
 * @param {AbortSignal} [signal]
 * @returns {Promise<Answer>}
 */
export async function run(call, signal) {
  const limit = AbortSignal.timeout(LIMIT_MS);
  const answer = await sent(call, signal ? AbortSignal.any([signal, limit]) : limit).catch((error) => {
    if (signal?.aborted) throw error;
    isReached.value = false;
    throw new Problem(0, { title: "unreachable", detail: String(error.message ?? error) });
  });
  isReached.value = true;
  if (call.method !== "GET") readAfresh();
  if (answer.status === 401) isLoginNeeded.value = true;
  if (answer.status >= 400) throw new Problem(answer.status, answer.data ?? {});
  return answer;
}

/** @param {Call} call @param {AbortSignal} signal @returns {Promise<Answer>} */
async function sent(call, signal) {
  /** @type {Record<string, string>} */
  const json = call.body === undefined ? {} : { "Content-Type": "application/json" };
  const answer = await fetch(address(call.path, call.query), {
    method: call.method,
    headers: { ...bearer(token.peek()), ...json, ...call.headers },
    ...(call.body === undefined ? {} : { body: JSON.stringify(call.body) }),
    signal,
  });
  const isJson = answer.headers.get("content-type")?.includes("json");
  const data = isJson ? await answer.json() : await answer.text();
  return { status: answer.status, data, headers: answer.headers };
}

/**
 * Reads a resource. Throws Problem. A reading that cannot be given up is shared by all who ask for it meanwhile.
 * @param {string} path
 * @param {Query} [query]
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
export async function get(path, query, signal) {
  if (signal) return (await run({ method: "GET", path, query }, signal)).data;
  const key = address(path, query);
  const reading = underWay.get(key) ?? run({ method: "GET", path, query }).finally(() => underWay.delete(key));
  underWay.set(key, reading);
  return (await reading).data;
}

/** Lets no later reader share a reading that was begun before something changed. */
export const readAfresh = () => underWay.clear();

/**
 * Opens the event stream. Throws when it cannot be opened.
 * @param {number | null} after the last event that is known
 * @param {AbortSignal} signal
 */
export async function openStream(after, signal) {
  /** @type {Record<string, string>} */
  const headers = { ...bearer(token.peek()), Accept: "text/event-stream" };
  if (after !== null) headers["Last-Event-ID"] = String(after);
  const answer = await fetch("/events", { headers, signal, cache: "no-store" });
  if (answer.status === 401) isLoginNeeded.value = true;
  if (!answer.ok || !answer.body) throw new Problem(answer.status, {});
  return answer.body.getReader();
}

/**
 * Fetches a file and hands it to the browser to save: a link could not carry the token. Throws Problem.
 * @param {string} path
 * @param {Query} query
 * @param {string} name
 */
export async function save(path, query, name) {
  const answer = await fetch(address(path, query), { headers: bearer(token.peek()) });
  if (!answer.ok) throw new Problem(answer.status, await answer.json());
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await answer.blob());
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** @type {Promise<any> | undefined} */
let described;

/** The OpenAPI document of this master, fetched when it is first needed. @returns {Promise<any>} */
export function apiDocument() {
  described ??= get("/api-json").catch((error) => {
    described = undefined;
    throw error;
  });
  return described;
}
