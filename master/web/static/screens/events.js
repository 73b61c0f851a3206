// Events: the log of the fleet, newest first, live unless it is paused or a time in the past is shown.
import { Feed, isPast, useFeed } from "../feed.js";
import { filterOf } from "../filter.js";
import { day, logged, number, time } from "../format.js";
import { named, nameOf } from "../names.js";
import { CopyButton, CopyCurl, copy } from "../parts/elements/copy.js";
import { Dialog } from "../parts/elements/dialog.js";
import { Empty } from "../parts/elements/notice.js";
import { WhenInput } from "../parts/elements/when.js";
import { actorText, BAD, detailText, Subjects } from "../parts/events/event_list.js";
import { Page } from "../parts/shell/screen.js";
import { ColumnMenu } from "../parts/table/columns.js";
import { FilterBar } from "../parts/table/filterbar.js";
import { isTyping } from "../parts/table/keys.js";
import { Table } from "../parts/table/table.js";
import { link, route, setQuery } from "../router.js";
import { useRead } from "../store.js";
import { html, useEffect, useState } from "../view.js";
import { t } from "../words.js";

const narrowed = (/** @type {import("../query.js").Query} */ word) =>
  link("/events", { ...filterOf(route.value.query), ...word });

/** @type {import("../parts/table/columns.js").Column[]} */
const COLUMNS = [
  {
    key: "at",
    width: "126px",
    rank: 1,
    cell: (one) => html`<time datetime=${one.at} title=${time(one.at)}>${logged(one.at)}</time>`,
  },
  {
    key: "type",
    width: "minmax(130px, 168px)",
    rank: 1,
    cell: (one) =>
      html`<a href=${narrowed({ type: one.type })}><code class=${BAD.test(one.type) ? "bad-text" : ""}>${one.type}</code></a>`,
  },
  { key: "subject", width: "minmax(130px, 1.3fr)", cell: (one) => html`<${Subjects} event=${one} />` },
  {
    key: "details",
    width: "minmax(150px, 1.7fr)",
    cell: (one) => html`<span class="muted" title=${detailText(one.details)}>${detailText(one.details)}</span>`,
  },
  {
    key: "actor",
    width: "110px",
    rank: 3,
    cell: (one) => html`<a href=${narrowed({ actor: one.actor })}>${actorText(one.actor)}</a>`,
  },
  {
    key: "request",
    width: "130px",
    rank: 3,
    cell: (one) =>
      one.request_id &&
      html`<a class="mono" title=${one.request_id} href=${narrowed({ request_id: one.request_id })}>${one.request_id}</a>`,
  },
];

/** Which parameter a bare word is meant for: a type has a point, a request id has none. @param {string} word */
const bare = (word) => (/^[a-z]+\.[a-z_*]+$/.test(word) ? "type" : "request_id");
const names = (/** @type {"nodes" | "stacks" | "locations"} */ kind) =>
  [...named(kind).values()].map((one) => one.name).filter(Boolean);

export default function Events() {
  const filter = filterOf(route.value.query);
  const feed = useFeed(filter);
  const [isPaused, setPaused] = useState(false);
  const [open, setOpen] = useState(/** @type {any} */ (null));
  const kept = useRead("/events", { after: 1, limit: 1 }, { every: 3600 });
  const { lost, rows } = feed.state.value;
  const pause = (/** @type {boolean} */ next) => [setPaused(next), feed.pause(next)];
  useEffect(() => feed.pause(isPaused), [feed]);
  useEffect(() => {
    const onKey = (/** @type {KeyboardEvent} */ event) => {
      if (event.key !== "p" || event.ctrlKey || event.metaKey || event.altKey || isTyping(event)) return;
      pause(!isPaused);
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  });
  const values = {
    node: names("nodes"),
    stack: names("stacks"),
    location: names("locations"),
    actor: ["api", "schedule", "master"],
  };
  const call = { method: "GET", path: "/events", query: { ...filter, order: "desc", limit: 100 } };
  const actions = html`<${Follow} feed=${feed} filter=${filter} isPaused=${isPaused} pause=${pause} />
    <${CopyCurl} call=${call} /><${ColumnMenu} name="events" columns=${COLUMNS} />`;
  const oldest = kept.data?.reset === "forgotten" && kept.data.items[0]?.at;
  return html`<${Page} title=${t("nav./events")} fills actions=${actions} lead=${oldest && t("events.forgotten", { day: day(oldest) })}>
    <div class="filter-line"><${FilterBar} path="/events" name="events" values=${values} bare=${bare} hint=${t("events.filter_hint")} />
      <${WhenInput} label=${t("events.jump")} action=${t("events.jump_go")} onPick=${(/** @type {string} */ until) => setQuery({ ...filter, until })} /></div>
    ${lost && html`<div class="notice warn" role="status"><p>${t(`events.lost.${lost}`)}</p></div>`}
    <${Table} name="events" label=${t("nav./events")} list=${/** @type {any} */ (feed)} columns=${COLUMNS} onOpen=${setOpen}
      onCopy=${(/** @type {any} */ one) => copy(JSON.stringify(one))} empty=${html`<${Nothing} filter=${filter} oldest=${oldest} />`} />
    ${open && html`<${Details} event=${rows.find((one) => one.id === open.id) ?? open} onClose=${() => setOpen(null)} />`}
  <//>`;
}

/** What the log does: it is live, paused, or shows the past. @param {{feed: Feed, filter: any, isPaused: boolean, pause: (next: boolean) => void}} props */
function Follow({ feed, filter, isPaused, pause }) {
  const { fresh } = feed.state.value;
  if (isPast(filter)) {
    const { until: _, before: __, ...now } = filter;
    return html`<button type="button" onClick=${() => feed.news()}>${t("events.later")}</button>
      <button type="button" class="primary" onClick=${() => setQuery(now)}>${t("events.now")}</button>`;
  }
  return html`${isPaused && html`<span role="status" class="muted">${t("events.fresh", { n: fresh.length, shown: number(fresh.length) })}</span>`}
    <button type="button" class=${isPaused ? "primary" : ""} title=${`${t("events.pause")} (p)`} onClick=${() => pause(!isPaused)}>${t(isPaused ? "events.resume" : "events.pause")}</button>`;
}

/** @param {{filter: any, oldest: string | false | undefined}} props */
function Nothing({ filter, oldest }) {
  const isBefore = oldest && filter.until && Date.parse(filter.until) <= Date.parse(oldest);
  return html`<${Empty} title=${isBefore ? t("events.forgotten", { day: day(oldest) }) : t("events_none")}>
    ${Object.keys(filter).length > 0 && html`<button type="button" onClick=${() => setQuery({})}>${t("filter_clear")}</button>`}<//>`;
}

/** @param {{event: any, onClose: () => void}} props */
function Details({ event, onClose }) {
  const around = new Date(Date.parse(event.at) + 60_000).toISOString();
  const actions = html`<${CopyButton} text=${JSON.stringify(event, null, 2)} label=${t("events.copy_json")} words=${t("events.copy_json")} />
    <${CopyCurl} call=${{ method: "GET", path: "/events", query: { after: event.id - 1, limit: 1 } }} />`;
  return html`<${Dialog} title=${event.type} side onClose=${onClose} actions=${actions}>
    <dl class="facts">
      <dt>${t("events.id")}</dt><dd>${number(event.id)}</dd>
      <dt>${t("column.at")}</dt><dd>${time(event.at)} <a href=${link("/events", { until: around })} onClick=${onClose}>${t("events.around")}</a></dd>
      <dt>${t("column.subject")}</dt><dd><${Subjects} event=${event} />${event.location_id && (event.node_id || event.stack_id) && html` · ${nameOf("locations", event.location_id)}`}</dd>
      <dt>${t("column.actor")}</dt><dd>${actorText(event.actor)}</dd>
      ${event.request_id && html`<dt>${t("column.request")}</dt><dd><span class="mono">${event.request_id}</span> <a href=${link("/events", { request_id: event.request_id })} onClick=${onClose}>${t("events.of_request")}</a></dd>`}
      ${Object.entries(event.details).map(([name, value]) => html`<dt key=${name} class="mono">${name}</dt><dd>${detailText({ [name]: value }).slice(name.length + 2)}</dd>`)}
    </dl>
  <//>`;
}
