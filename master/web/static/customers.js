// Customers: the values of one label, with what the API counts for each. Pure.

/**
 * @typedef {object} Customer
 * @property {number} id of the row
 * @property {string} customer the value of the label
 * @property {number} count
 * @property {Record<string, number>} states
 * @property {number | null} connections
 * @property {number | null} rate bits per second, both ways
 * @property {number | null} bytes of the period, both ways; null: not known yet
 * @property {string | null} expires_at when the next of them expires
 */

/** @type {Map<string, number>} */
const ids = new Map();

/** A number for a value, for as long as the page lives. @param {string} value */
function idOf(value) {
  const id = ids.get(value) ?? ids.size + 1;
  ids.set(value, id);
  return id;
}

/**
 * @param {string} key of the label
 * @param {any[]} all counts by the label
 * @param {any[]} troubled counts by the label and the state, without those that run
 * @param {any[] | undefined} usage sums by the label
 * @returns {Customer[]}
 */
export function customersOf(key, all, troubled, usage) {
  const nameOf = (/** @type {any} */ one) => one.labels?.[key] ?? null;
  const spent = new Map((usage ?? []).map((one) => [nameOf(one), one.received_bytes + one.sent_bytes]));
  /** @type {Map<string, Record<string, number>>} */
  const states = new Map();
  for (const one of troubled) states.set(nameOf(one), { ...states.get(nameOf(one)), [one.state]: one.count });
  return all
    .filter((one) => nameOf(one) !== null)
    .map((one) => {
      const value = nameOf(one);
      const others = states.get(value) ?? {};
      const rest = Object.values(others).reduce((sum, count) => sum + count, 0);
      return {
        id: idOf(value),
        customer: value,
        count: one.count,
        states: { ...others, running: Math.max(0, one.count - rest) },
        connections: one.connections,
        rate: one.rx_bps === null ? null : one.rx_bps + one.tx_bps,
        bytes: usage ? (spent.get(value) ?? 0) : null,
        expires_at: one.next_expiry,
      };
    });
}

/**
 * Sorts as "-count" says; numbers in names count as numbers, and rows without the value come last.
 * @param {Customer[]} rows
 * @param {string} sort
 */
export function sorted(rows, sort) {
  const sign = sort.startsWith("-") ? -1 : 1;
  const member = sort.replace(/^-/, "");
  const collator = new Intl.Collator(undefined, { numeric: true });
  const value = (/** @type {any} */ row) => row[member];
  return [...rows].sort((one, other) => {
    const [a, b] = [value(one), value(other)];
    if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1;
    return (
      sign * (typeof a === "string" ? collator.compare(a, b) : a - b) || collator.compare(one.customer, other.customer)
    );
  });
}
