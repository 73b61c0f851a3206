// The order of a list, as the API keeps it. Pure.

/** @typedef {{id: number} & Record<string, any>} Row */

/**
 * Compares two rows by a `sort` of the API, as in "-name". Rows without the value come last.
 * @param {string} sort
 * @returns {(one: Row, other: Row) => number}
 */
export function comparison(sort) {
  const sign = sort.startsWith("-") ? -1 : 1;
  const member = sort.replace(/^-/, "");
  return (one, other) => {
    const [a, b] = [memberOf(one, member), memberOf(other, member)];
    if (a === b) return sign * (one.id - other.id);
    if (a === null || b === null) return a === null ? 1 : -1;
    return sign * (a < b ? -1 : 1);
  };
}

/** @param {Row} row @param {string} member */
const memberOf = (row, member) => row[member] ?? row.limits?.[member] ?? null;

/**
 * Puts rows that were read again into a list. Those that were asked for and not found no longer match, and go. A new
 * row stands where the order puts it; after the last row of an incomplete list it comes with its page.
 * @param {Row[]} rows
 * @param {Set<number>} asked
 * @param {Row[]} found
 * @param {string} sort
 * @param {boolean} complete
 */
export function placed(rows, asked, found, sort, complete) {
  const fresh = new Map(found.map((row) => [row.id, row]));
  const compare = comparison(sort);
  const kept = rows.filter((row) => !asked.has(row.id) || fresh.has(row.id));
  const known = new Set(kept.map((row) => row.id));
  const merged = kept.map((row) => fresh.get(row.id) ?? row);
  const last = rows.at(-1);
  const added = found.filter((row) => !known.has(row.id) && (complete || (last && compare(row, last) < 0)));
  const isMoved = merged.some((row, at) => at > 0 && compare(merged[at - 1], row) > 0);
  return added.length > 0 || isMoved ? [...merged, ...added].sort(compare) : merged;
}
