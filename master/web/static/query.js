// Query strings: members by name, and a list for a member that is repeated. Pure.

/** @typedef {Record<string, string | number | boolean | (string | number)[] | null | undefined>} Query */

/** Writes a query, without the members that have no value. @param {Query} query */
export function written(query) {
  const pairs = Object.entries(query).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value])
      .filter((one) => one !== null && one !== undefined)
      .map((one) => `${encoded(name)}=${encoded(String(one))}`),
  );
  return pairs.join("&");
}

/** Leaves the characters alone that a reader wants to see. @param {string} text */
const encoded = (text) => encodeURIComponent(text).replace(/%(3A|2C|2F|40)/g, decodeURIComponent);

/** Reads a query; a repeated member becomes a list. @param {string} text @returns {Record<string, string | string[]>} */
export function read(text) {
  /** @type {Record<string, string | string[]>} */
  const found = {};
  for (const [name, value] of new URLSearchParams(text)) {
    const former = found[name];
    found[name] = former === undefined ? value : [...(Array.isArray(former) ? former : [former]), value];
  }
  return found;
}

/** All values of a member. @param {Query} query @param {string} name @returns {string[]} */
export const values = (query, name) => {
  const value = query[name];
  return (Array.isArray(value) ? value : [value]).filter((one) => one !== null && one !== undefined).map(String);
};

/** The address of a path with a query. @param {string} path @param {Query} [query] */
export function address(path, query = {}) {
  const text = written(query);
  return text ? `${path}?${text}` : path;
}

/** The query without some members. @param {Query} query @param {...string} names @returns {Query} */
export const without = (query, ...names) =>
  Object.fromEntries(Object.entries(query).filter(([name]) => !names.includes(name)));
