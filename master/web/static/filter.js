// The filter bar's words are the query parameters: `state=failed not.node=fra-1 label=customer:7 text`. Pure.

/** @typedef {{name: string, value: string}} Word `name` may begin with "not." */
/** @typedef {import("./query.js").Query} Query */
/** @typedef {{name: string, values?: string[], isTime?: boolean, positive?: boolean}} Term a word that is known; `positive`: cannot be excluded */

const NOT = "not.";
/** Members of a list's query that are no filter. */
export const SHOWING = ["sort", "order", "limit", "after", "secrets", "tab", "by", "span"];

/** @param {string} text @returns {Word[]} */
export function words(text) {
  const found = text.match(/(?:[^\s"]|"[^"]*")+/g) ?? [];
  return found.map(word);
}

/** @param {string} text @returns {Word} */
function word(text) {
  const [, name, value] = /^((?:not\.)?[a-z_]+)[=:](.*)$/s.exec(text.replace(/^-(?=[a-z_]+[=:])/, NOT)) ?? [];
  return name ? { name, value: unquoted(value) } : { name: "q", value: unquoted(text) };
}

/** @param {string} text */
const unquoted = (text) => text.replaceAll('"', "");

/** @param {Word} word */
export const text = ({ name, value }) => `${name}=${/\s/.test(value) ? `"${value}"` : value}`;

/** The words of a query. @param {Query} query @returns {Word[]} */
export const wordsOf = (query) =>
  Object.entries(query)
    .filter(([name]) => !SHOWING.includes(name))
    .flatMap(([name, value]) => (Array.isArray(value) ? value : [value]).map((one) => ({ name, value: String(one) })));

/**
 * The query of words. What is not a filter stays as it is.
 * @param {Word[]} all
 * @param {Query} former
 * @returns {Query}
 */
export function queryOf(all, former = {}) {
  const showing = Object.fromEntries(Object.entries(former).filter(([name]) => SHOWING.includes(name)));
  /** @type {Record<string, string[]>} */
  const found = {};
  for (const { name, value } of all) found[name] = [...new Set([...(found[name] ?? []), value])];
  return { ...found, ...showing };
}

/** The filter alone, for counts, exports and bulk writes. @param {Query} query @returns {Query} */
export const filterOf = (query) =>
  Object.fromEntries(Object.entries(query).filter(([name]) => !SHOWING.includes(name)));

/** The word that excludes what this one includes, and back. @param {Word} word @returns {Word} */
export const negated = ({ name, value }) => ({
  name: name.startsWith(NOT) ? name.slice(NOT.length) : NOT + name,
  value,
});

/** @param {Word} word */
export const isNegative = (word) => word.name.startsWith(NOT);

/**
 * Completions of what is being typed.
 * @param {string} typed
 * @param {Term[]} terms
 * @returns {{text: string, isDone: boolean}[]} `isDone`: a whole word; otherwise its value is still to come
 */
export function completions(typed, terms) {
  const [, negation, start] = /^(not\.|-)?(.*)$/s.exec(typed.trim().toLowerCase()) ?? ["", "", ""];
  const before = negation ? NOT : "";
  const [name, value] = start.split(/[=:](.*)/s);
  if (value === undefined) {
    const fitting = terms.filter((term) => term.name.startsWith(name) && !(before && term.positive));
    const isId = (/** @type {Term} */ term) => Number(term.name.endsWith("_id"));
    const ordered = [...fitting].sort((one, other) => isId(one) - isId(other)); // people type names
    return ordered.map((term) => ({ text: `${before}${term.name}=`, isDone: false }));
  }
  const term = terms.find((one) => one.name === name);
  const fitting = (term?.values ?? []).filter((one) => one.toLowerCase().startsWith(value));
  return fitting.slice(0, 50).map((one) => ({ text: text({ name: before + name, value: one }), isDone: true }));
}

/**
 * The words that a list understands, from the document of the API.
 * @param {{name: string, schema: any}[]} parameters
 * @param {Record<string, string[]>} values those that the document does not know, such as names of nodes
 * @returns {Term[]}
 */
export function terms(parameters, values) {
  const names = new Set(parameters.map((one) => one.name));
  return parameters
    .filter((one) => !one.name.startsWith(NOT) && !SHOWING.includes(one.name))
    .map((one) => ({
      name: one.name,
      values: values[one.name] ?? enumOf(one.schema),
      positive: !names.has(NOT + one.name),
    }));
}

/** @param {any} schema @returns {string[] | undefined} */
function enumOf(schema) {
  const all = [schema, schema?.items, ...(schema?.anyOf ?? [])].flatMap((one) => one?.enum ?? one?.items?.enum ?? []);
  const isBoolean = [schema, ...(schema?.anyOf ?? [])].some((one) => one?.type === "boolean");
  return isBoolean ? ["true", "false"] : all.length ? all.map(String) : undefined;
}
