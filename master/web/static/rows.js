// Rows that are known all at once, in the form of a list: for tables of what the API counts.
import { signal, useLayoutEffect, useMemo } from "./view.js";

/**
 * @param {import("./list.js").Row[]} rows
 * @param {import("./store.js").Read<any>} read where they come from
 * @returns {any} what a Table and a Total take
 */
export function useRows(rows, { loading, problem, at }) {
  const isKnown = !loading && (rows.length > 0 || !problem);
  const now = { rows, loading, problem, at, complete: isKnown, total: isKnown ? rows.length : null };
  const list = useMemo(() => ({ state: signal(now), more() {} }), []);
  useLayoutEffect(() => {
    list.state.value = now;
  }, [rows, loading, problem, at]);
  return list;
}
