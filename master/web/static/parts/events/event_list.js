// Events, newest first: who changed what, when.
import { ago, time } from "../../format.js";
import { nameOf } from "../../names.js";
import { link } from "../../router.js";
import { useRead } from "../../store.js";
import { classes, html } from "../../view.js";
import { isWord, t } from "../../words.js";
import { Waiting } from "../elements/notice.js";

/** Types of events that somebody should look at. */
export const BAD = /failed|offline|troubled|held|cloned|flooded|refused|rolled_back|parked/;

/** Characters of a request id that tell it from others in a short list. */
const ID_LENGTH = 13;

/** @param {{query?: import("../../query.js").Query, limit?: number, subjects?: boolean}} props `subjects`: shows what each concerns */
export function EventList({ query = {}, limit = 20, subjects }) {
  const read = useRead("/events", { ...query, order: "desc", limit }, { on: ["events"], pause: 1500 });
  if (!read.data) return html`<${Waiting} read=${read} />`;
  if (read.data.items.length === 0) return html`<p class="muted">${t("events_none")}</p>`;
  return html`<ul class="events">${read.data.items.map((/** @type {any} */ one) => html`<${EventLine} key=${one.id} event=${one} subjects=${subjects} />`)}</ul>`;
}

/** @param {{event: any, subjects?: boolean}} props */
export function EventLine({ event, subjects }) {
  const details = detailText(event.details);
  return html`<li class=${classes("event", BAD.test(event.type) && "bad")}>
    <time datetime=${event.at} title=${time(event.at)}>${ago(event.at)}</time>
    <div><a href=${link("/events", { type: event.type })}><code>${event.type}</code></a>
      ${subjects && html` <${Subjects} event=${event} />`}
      ${details && html` <span class="details">${details}</span>`}
      ${event.actor && " "}<small>${event.actor && "· "}${event.actor && actorText(event.actor)}${event.request_id && html` · <a href=${link("/events", { request_id: event.request_id })}title=${event.request_id}>${event.request_id.slice(0, ID_LENGTH)}</a>`}</small></div>
  </li>`;
}

/** @param {string} actor */
export function actorText(actor) {
  const [, kind, id] = /^(node|link) (\d+)$/.exec(actor) ?? [];
  if (kind) return kind === "node" ? nameOf("nodes", Number(id)) : `${t("kind.link")} ${id}`;
  return isWord(`actor.${actor}`) ? t(`actor.${actor}`) : actor;
}

/** @param {{event: any}} props */
export function Subjects({ event }) {
  return html`${event.proxy_id && html`<a href=${link(`/proxies/${event.proxy_id}`)}>${t("kind.proxy")} ${String(event.proxy_id)}</a> `}
    ${event.node_id && html`<a href=${link(`/nodes/${event.node_id}`)}>${nameOf("nodes", event.node_id)}</a> `}
    ${event.stack_id && html`<a href=${link(`/stacks/${event.stack_id}`)}>${nameOf("stacks", event.stack_id)}</a> `}
    ${event.location_id && !event.node_id && !event.stack_id && html`<a href=${link("/locations", { id: event.location_id })}>${nameOf("locations", event.location_id)}</a>`}`;
}

/** @param {Record<string, unknown>} details */
export const detailText = (details) =>
  Object.entries(details ?? {})
    .filter(([, value]) => value !== null && value !== "")
    .map(
      ([name, value]) =>
        `${name}: ${Array.isArray(value) ? value.join(", ") : typeof value === "object" ? JSON.stringify(value) : value}`,
    )
    .join(", ");
