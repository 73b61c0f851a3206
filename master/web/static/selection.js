// What is selected in a list: some rows, or everything that the filter matches. Pure.

/** @typedef {import("./query.js").Query} Query */
/** @typedef {{ids: ReadonlySet<number>, isAll: boolean, anchor: number | null}} Selection */

/** @type {Selection} */
export const NOTHING = { ids: new Set(), isAll: false, anchor: null };

/** @param {Selection} selection @param {number} id */
export const has = (selection, id) => selection.isAll || selection.ids.has(id);

/** @param {Selection} selection @param {number} id @returns {Selection} */
export function toggled(selection, id) {
  const ids = new Set(selection.ids);
  if (!ids.delete(id)) ids.add(id);
  return { ids, isAll: false, anchor: id };
}

/**
 * Selects everything between the row that was chosen last and this one.
 * @param {Selection} selection
 * @param {number} id
 * @param {number[]} order the ids as they are shown
 * @returns {Selection}
 */
export function extended(selection, id, order) {
  const [from, to] = [order.indexOf(selection.anchor ?? id), order.indexOf(id)];
  if (from < 0 || to < 0) return toggled(selection, id);
  const between = order.slice(Math.min(from, to), Math.max(from, to) + 1);
  return { ids: new Set([...selection.ids, ...between]), isAll: false, anchor: id };
}

/** Selects all rows that are shown, or none of them if all were. @param {Selection} selection @param {number[]} order @returns {Selection} */
export function page(selection, order) {
  const isFull = order.length > 0 && order.every((id) => selection.ids.has(id));
  return isFull || selection.isAll ? NOTHING : { ids: new Set(order), isAll: false, anchor: null };
}

/** Selects everything that the filter matches. @returns {Selection} */
export const everything = () => ({ ids: new Set(), isAll: true, anchor: null });

/** Forgets rows that are gone. @param {Selection} selection @param {Set<number>} gone @returns {Selection} */
export const forgotten = (selection, gone) => ({
  ...selection,
  ids: new Set([...selection.ids].filter((id) => !gone.has(id))),
});

/** How many are selected. @param {Selection} selection @param {number | null} total of the filter */
export const count = (selection, total) => (selection.isAll ? total : selection.ids.size);

/** How many ids a filter may name. */
export const MOST_IDS = 500;

/**
 * The filter of a bulk write.
 * @param {Selection} selection
 * @param {Query} filter that of the list
 * @returns {Query} `all` when there is no filter, which the API wants to be said
 */
export function asFilter(selection, filter) {
  if (!selection.isAll) return { id: [...selection.ids].sort((a, b) => a - b) };
  return Object.keys(filter).length > 0 ? filter : { all: true };
}
