// What needs attention, worst first, out of what the API says. Pure.

/**
 * @typedef {object} Item
 * @property {string} key its words are t(`attention.${key}`)
 * @property {"bad" | "warn"} level
 * @property {Record<string, unknown>} values of the words
 * @property {string} path where it is mended
 * @property {import("./query.js").Query} [query]
 * @property {string} [detail]
 */

const PENDING_LONG_S = 10;

/**
 * @param {{nodes?: any[], failing?: any[], pending?: number, rotations?: any[], webhooks?: any[], quota?: number, expiring?: number,
 *     health?: any, version?: string}} known
 * @returns {Item[]}
 */
export function attention(known) {
  const items = [
    ...(known.health?.items ?? []).flatMap(finding),
    ...(known.nodes ?? []).flatMap((node) => ofNode(node, known.version)),
    ...(known.failing ?? []).filter((one) => one.state === "failed").map(failing),
    ...(known.webhooks ?? []).flatMap(webhook),
    ...sum("pending", "warn", known.pending, "/proxies", { state: "pending" }),
    ...sum("rotations", "warn", known.rotations?.length, "/events", {
      type: ["proxy.rotation_failed", "proxy.move_failed"],
    }),
    ...sum("quota", "warn", known.quota, "/proxies", { quota_from: 80 }),
    ...sum("expiring", "warn", known.expiring, "/proxies", { sort: "expires_at" }),
  ];
  return [...items.filter((one) => one.level === "bad"), ...items.filter((one) => one.level === "warn")];
}

/** @param {string} key @param {Item["level"]} level @param {number | undefined} n @param {string} path @param {import("./query.js").Query} query @returns {Item[]} */
const sum = (key, level, n, path, query) => (n ? [{ key, level, values: { n }, path, query }] : []);

/** Findings of the doctor about nodes and proxies, which have lines of their own. */
const OTHERS = /node|prox|list|agent|webhook|rotation|move/i;

/** @param {any} one a finding of the doctor @returns {Item[]} */
function finding({ check, level, text, advice }) {
  if (level === "ok" || OTHERS.test(check)) return [];
  return [
    {
      key: "finding",
      level: level === "problem" ? "bad" : "warn",
      values: { check, text },
      path: check === "upgrade" ? "/upgrades" : "/settings",
      detail: advice ?? undefined,
    },
  ];
}

/** @param {any} node @param {string | undefined} version of the master @returns {Item[]} */
function ofNode({ id, name, status, agent, state, moving }, version) {
  const path = `/nodes/${id}`;
  /** @type {Item[]} */
  const found = [];
  const add = (/** @type {string} */ key, /** @type {Item["level"]} */ level, values = {}) =>
    found.push({ key, level, values: { name, ...values }, path });
  if (status.state === "offline") add("offline", "bad", { n: status.count, since: status.reported_at });
  if (status.state === "never_reported") add("never_reported", "bad");
  if (status.held) add("held", "bad", { stops: status.held.stops, of: status.held.of });
  if (status.trouble) found.push({ key: "trouble", level: "bad", values: { name }, path, detail: status.trouble });
  if (moving?.failed > 0) add("moving", "warn", { n: moving.failed });
  if (version && agent && agent !== version && state !== "disabled") {
    found.push({ key: "old_agent", level: "warn", values: { name, agent, version }, path: "/upgrades" });
  }
  return found;
}

/** @param {any} one of a count by state, reason and node @returns {Item} */
const failing = ({ count, reason, node_id: node }) => ({
  key: "failing",
  level: "bad",
  values: { n: count, node },
  path: "/proxies",
  query: { state: "failed", node_id: node },
  detail: reason ?? undefined,
});

/** @param {any} one @returns {Item[]} */
const webhook = ({ id, url, last_error: error }) =>
  error ? [{ key: "webhook", level: "warn", values: { url }, path: "/webhooks", query: { id }, detail: error }] : [];

/** A proxy that is made right now is no trouble yet: the time before which it must have been changed. @param {number} now */
export const longPending = (now) => new Date(now - PENDING_LONG_S * 1000).toISOString();
