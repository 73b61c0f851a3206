// The address of the page: #/path?query. The filter of a list is the query, so a view can be shared.
import { address, read } from "./query.js";
import { ROUTES } from "./routes.js";
import { signal } from "./view.js";

/** @typedef {import("./query.js").Query} Query */
/** @typedef {{path: string, query: Record<string, string | string[]>, screen: string, params: Record<string, string>}} Route */

/**
 * Finds the screen of an address. Pure.
 * @param {string} hash
 * @returns {Route}
 */
export function routeOf(hash) {
  const [path = "/", text = ""] = hash.replace(/^#/, "").split(/\?(.*)/s);
  const query = read(text);
  for (const [pattern, screen] of ROUTES) {
    const params = matched(pattern, path || "/");
    if (params) return { path: path || "/", query, screen, params };
  }
  return { path, query, screen: "missing", params: {} };
}

/** @param {string} pattern @param {string} path @returns {Record<string, string> | null} */
function matched(pattern, path) {
  const [wanted, given] = [pattern.split("/"), path.replace(/(.)\/$/, "$1").split("/")];
  if (wanted.length !== given.length) return null;
  /** @type {Record<string, string>} */
  const params = {};
  for (const [at, part] of wanted.entries()) {
    if (part.startsWith(":") && given[at]) params[part.slice(1)] = decodeURIComponent(given[at]);
    else if (part !== given[at]) return null;
  }
  return params;
}

export const route = signal(routeOf(globalThis.location?.hash ?? ""));

globalThis.addEventListener?.("hashchange", () => {
  route.value = routeOf(location.hash);
});

/** The address of a screen, for links. @param {string} path @param {Query} [query] */
export const link = (path, query) => `#${address(path, query)}`;

/** Shows another screen. @param {string} path @param {Query} [query] */
export function go(path, query) {
  location.hash = address(path, query);
}

/** Changes the query of the screen, without a further step back. @param {Query} query */
export function setQuery(query) {
  history.replaceState(null, "", link(route.peek().path, query));
  route.value = routeOf(location.hash);
}
