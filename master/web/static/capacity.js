// How many proxies nodes can take. Pure.

/** How many proxies a node can have: as many as its range has ports, and not more than its limit. @param {any} node */
export function capacityOf({ limits }) {
  const [from, to] = limits.ports.split("-").map(Number);
  return Math.min(to - from + 1, limits.max_proxies);
}

/** How many proxies a node has, those included that it has not reported. @param {any} node */
export const usedOf = ({ status }) => status.count + status.missing;

/** How many more proxies a node can take. @param {any} node */
export const roomOf = (node) => Math.max(0, capacityOf(node) - usedOf(node));

/**
 * Nodes of one location together. New proxies are placed on active nodes alone, so others have no capacity.
 * @param {any[]} nodes
 */
export function together(nodes) {
  const sum = (/** @type {any[]} */ all, /** @type {(node: any) => number} */ of) =>
    all.reduce((total, one) => total + of(one), 0);
  const active = nodes.filter((one) => one.state === "active");
  return {
    nodes: nodes.length,
    online: nodes.filter((one) => one.status.state === "online").length,
    used: sum(nodes, usedOf),
    capacity: sum(active, capacityOf),
    free: sum(active, roomOf),
  };
}

/**
 * Moves as a matrix: how many go from one node to another.
 * @param {{from_node_id: number, to_node_id: number}[]} moves
 */
export function matrixOf(moves) {
  /** @type {Map<number, Map<number, number>>} */
  const rows = new Map();
  for (const { from_node_id: from, to_node_id: to } of moves) {
    const row = rows.get(from) ?? new Map();
    rows.set(from, row.set(to, (row.get(to) ?? 0) + 1));
  }
  const order = (/** @type {Iterable<number>} */ ids) => [...new Set(ids)].sort((a, b) => a - b);
  return {
    from: order(rows.keys()),
    to: order(moves.map((one) => one.to_node_id)),
    count: (/** @type {number} */ from, /** @type {number} */ to) => rows.get(from)?.get(to) ?? 0,
  };
}
