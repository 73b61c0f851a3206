// Data of the API that stays current while it is shown.
import { get } from "./api.js";
import { onChanges } from "./changes.js";
import { signal, useEffect, useMemo } from "./view.js";

/** @typedef {import("./query.js").Query} Query */
/** @typedef {import("./changes.js").Kind} Kind */
/**
 * @template T
 * @typedef {object} Read
 * @property {T | undefined} data the latest answer, which stays when a later call fails
 * @property {import("./api.js").Problem | null} problem why the latest call failed
 * @property {boolean} loading whether the first answer is still to come
 * @property {number} at when the data was read
 */

/**
 * A call that is repeated when something changes. At most one is under way.
 * @param {() => Promise<any>} read
 * @param {number} pauseMs the least time between two calls
 */
export function refreshed(read, pauseMs) {
  /** @type {import("@preact/signals").Signal<Read<any>>} */
  const state = signal({ data: undefined, problem: null, loading: true, at: 0 });
  let isBusy = false;
  let isWanted = false;
  let isClosed = false;
  const refresh = async () => {
    isWanted = true;
    if (isBusy) return;
    isBusy = true;
    while (isWanted && !isClosed) {
      isWanted = false;
      try {
        const data = await read();
        if (!isClosed) state.value = { data, problem: null, loading: false, at: Date.now() };
      } catch (error) {
        if (!isClosed) state.value = { ...state.peek(), problem: problemOf(error), loading: false };
      }
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
    isBusy = false;
  };
  const close = () => {
    isClosed = true;
  };
  return { state, refresh, close };
}

/** Whether the token of the page is not for this. @param {{problem: import("./api.js").Problem | null}} read */
export const isForbidden = (read) => read.problem?.status === 403;

/** Passes refusals on; everything else is a bug. @param {any} error @returns {import("./api.js").Problem} */
export function problemOf(error) {
  if (error?.name === "Error" && "status" in error) return error;
  throw error;
}

/**
 * Reads a path while the component is shown, and again when one of these kinds changes.
 * @param {string | null} path null: not yet
 * @param {Query} [query]
 * @param {{on?: Kind[], ids?: number[], every?: number, pause?: number}} [options] `ids`: only changes of these count.
 *     `every`: seconds between two readings, for what no event announces.
 * @returns {Read<any> & {refresh: () => Promise<void>}}
 */
export function useRead(path, query = {}, { on = [], ids, every = 0, pause = 1000 } = {}) {
  const key = JSON.stringify([path, query]);
  const source = useMemo(() => refreshed(() => get(path ?? "", query), pause), [key]);
  useEffect(() => {
    if (path === null) return;
    void source.refresh();
    const end = onChanges((changes) => {
      if (on.some((kind) => concerns(changes.get(kind), ids))) void source.refresh();
    });
    const timer = every > 0 ? setInterval(() => document.hidden || void source.refresh(), every * 1000) : 0;
    return () => {
      end();
      clearInterval(timer);
      source.close();
    };
  }, [source]);
  return { ...source.state.value, refresh: source.refresh };
}

/** @param {Set<number> | null | undefined} changed @param {number[] | undefined} ids */
const concerns = (changed, ids) =>
  changed === null || (changed !== undefined && (ids === undefined || ids.some((id) => changed.has(id))));

/**
 * One resource, while the component is shown.
 * @param {Kind} kind
 * @param {string | number} id
 * @param {Query} [query]
 */
export const useResource = (kind, id, query = {}) =>
  useRead(`/${kind}/${id}`, query, { on: [kind], ids: [Number(id)], pause: 300 });
