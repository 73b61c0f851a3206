// Names of nodes, locations and stacks, by which every screen shows them.
import { get } from "./api.js";
import { onChanges } from "./changes.js";
import { refreshed } from "./store.js";

/** @typedef {{id: number, name: string} & Record<string, any>} Named */

/** @param {string} path @returns {Promise<Map<number, Named>>} all of them, page by page */
async function all(path) {
  /** @type {Map<number, Named>} */
  const found = new Map();
  for (let after = null; ; ) {
    const page = await get(path, { limit: 1000, after });
    for (const one of page.items) found.set(one.id, one);
    after = page.next;
    if (after === null) return found;
  }
}

const KINDS = /** @type {const} */ (["nodes", "locations", "stacks"]);
const sources = Object.fromEntries(KINDS.map((kind) => [kind, refreshed(() => all(`/${kind}`), 2000)]));
/** @type {Set<string>} */
const wanted = new Set();

/** @type {Map<number, Named>} */
const NONE = new Map();

/** All of a kind, by id; read when they are first needed. @param {typeof KINDS[number]} kind @returns {Map<number, Named>} */
export function named(kind) {
  if (!wanted.has(kind)) {
    wanted.add(kind);
    void sources[kind].refresh();
  }
  return sources[kind].state.value.data ?? NONE;
}

onChanges((changes) => {
  for (const kind of wanted) if (changes.has(kind)) void sources[kind].refresh();
});

/**
 * The name of a resource; "…" until names are there, and its number if it has none.
 * @param {typeof KINDS[number]} kind
 * @param {number | null | undefined} id
 */
export function nameOf(kind, id) {
  if (id == null) return "–";
  const name = named(kind).get(id)?.name;
  return name ?? (sources[kind].state.value.loading ? "…" : `#${id}`);
}
