// An endpoint as people paste it: an address alone, with its port, or as a URL. Pure.

/** @param {string} text @returns {{ip: string, port?: string}} */
export function endpointOf(text) {
  const bare = text
    .trim()
    .replace(/^\w+:\/\/(?:[^@/]*@)?/, "")
    .replace(/\/.*$/, "");
  const [, v6, v4, port] = /^(?:\[([0-9a-f:.]+)\]|([^:[\]]+))(?::(\d+))?$/i.exec(bare) ?? [];
  const ip = v6 ?? v4 ?? bare;
  return port ? { ip, port } : { ip };
}

const DAY_MS = 86_400_000;

/**
 * Whether a history knows a time.
 * @param {number} at milliseconds
 * @param {number} now
 * @param {number} days for how long it is kept
 * @returns {"kept" | "forgotten" | "future"}
 */
export function keptAt(at, now, days) {
  if (at > now) return "future";
  return at < now - days * DAY_MS ? "forgotten" : "kept";
}
