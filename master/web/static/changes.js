// What changed, by kind and id: the news of the stream, gathered for a moment and given to whoever shows it.
import { readAfresh } from "./api.js";
import { onNews } from "./stream.js";

/** @typedef {"proxies" | "nodes" | "stacks" | "locations" | "links" | "webhooks" | "invitations" | "upgrades" | "rotations" | "events"} Kind */
/** @typedef {Map<string, Set<number> | null>} Changes ids by kind; null: any of them may have changed */

const GATHER_MS = 250;
const MANY = 200;
/** Kinds that events do not name by an id. */
const OF_NO_SUBJECT = ["links", "webhooks", "invitations", "upgrades"];
const SUBJECTS = { proxies: "proxy_id", nodes: "node_id", stacks: "stack_id", locations: "location_id" };

/**
 * Adds one piece of news to the changes. An event names its subjects; a reset concerns everything. Pure.
 * @param {Changes} changes
 * @param {import("./stream.js").News} news
 */
export function added(changes, news) {
  if (news.type === "reset") for (const kind of ALL) changes.set(kind, null);
  else if (news.type === "touched") add(changes, news.kind, news.ids);
  else {
    add(changes, "events", [news.event.id]);
    for (const [kind, member] of Object.entries(SUBJECTS)) {
      if (news.event[member] != null) add(changes, kind, [news.event[member]]);
    }
    const kind = `${news.event.type.split(".")[0]}s`;
    if (OF_NO_SUBJECT.includes(kind)) add(changes, kind, null);
    if (news.event.type.includes("rotat") || news.event.type.includes("move")) add(changes, "rotations", null);
  }
  return changes;
}

const ALL = [...Object.keys(SUBJECTS), ...OF_NO_SUBJECT, "rotations", "events"];

/** @param {Changes} changes @param {string} kind @param {number[] | null} ids */
function add(changes, kind, ids) {
  const former = changes.get(kind);
  if (former === null) return;
  const all = ids && new Set([...(former ?? []), ...ids]);
  changes.set(kind, all && all.size > MANY ? null : all);
}

/** @type {Set<(changes: Changes) => void>} */
const readers = new Set();
/** @type {Changes} */
let gathered = new Map();
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;

/** @param {(changes: Changes) => void} reader @returns {() => void} ends it */
export function onChanges(reader) {
  readers.add(reader);
  return () => void readers.delete(reader);
}

/** Announces changes that this page made itself, before the stream does. @param {Kind} kind @param {number[] | null} [ids] */
export function announce(kind, ids = null) {
  add(gathered, kind, ids);
  schedule();
}

function schedule() {
  timer ??= setTimeout(() => {
    const changes = gathered;
    gathered = new Map();
    timer = undefined;
    readAfresh();
    for (const reader of readers) reader(changes);
  }, GATHER_MS);
}

onNews((news) => {
  added(gathered, news);
  schedule();
});
