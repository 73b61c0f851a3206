// A call as a command line. The token of the browser stands in it as the variable $MAYBE_TOKEN.
import { address } from "./query.js";
import { token } from "./token.js";

/**
 * @typedef {object} Call
 * @property {string} method
 * @property {string} path
 * @property {import("./query.js").Query} [query]
 * @property {unknown} [body]
 * @property {Record<string, string>} [headers]
 */

/** Quotes a word for a POSIX shell, if it needs that. @param {string} text */
export const quoted = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/**
 * Writes a call as curl.
 * @param {Call} call
 * @param {string} origin where the API is, as in http://127.0.0.1:3005
 */
export function curl(call, origin) {
  const url = quoted(origin + address(call.path, call.query));
  const head = call.method === "GET" ? `curl ${url}` : `curl -X ${call.method} ${url}`;
  const bearer = token.peek() === "" ? [] : ['-H "Authorization: Bearer $MAYBE_TOKEN"'];
  const body = call.body === undefined ? [] : [`-H 'Content-Type: application/json'`];
  const headers = Object.entries(call.headers ?? {}).map(([name, value]) => `-H ${quoted(`${name}: ${value}`)}`);
  const data = call.body === undefined ? [] : [`-d ${quoted(JSON.stringify(call.body))}`];
  return [head, ...bearer, ...body, ...headers, ...data].join(" \\\n  ");
}

/**
 * Writes a request through a proxy as curl.
 * @param {string} proxyUrl
 * @param {string} target
 * @param {string | null} [trusted] the file of the certificate by which curl recognises the proxy
 */
export const throughProxy = (proxyUrl, target, trusted = null) =>
  `curl ${trusted ? `--proxy-cacert ${quoted(trusted)} ` : ""}-x ${quoted(proxyUrl)} ${quoted(target)}`;
