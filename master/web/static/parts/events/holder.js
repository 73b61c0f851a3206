// Who had an endpoint: the proxy, its customer, who made and changed it, and what happened around the time.
import { bytes, day, time } from "../../format.js";
import { nameOf } from "../../names.js";
import { customerLabel } from "../../prefs.js";
import { link } from "../../router.js";
import { useRead } from "../../store.js";
import { classes, html } from "../../view.js";
import { t } from "../../words.js";
import { Waiting } from "../elements/notice.js";
import { actorText, BAD, detailText } from "./event_list.js";

const AROUND_MS = 3_600_000;
const MOST = 100;
const MADE = ["created", "updated", "rotated", "moved", "deleted"].map((one) => `proxy.${one}`);

/** @param {number} moment */
const iso = (moment) => new Date(moment).toISOString();

/** @param {{holder: any, at: string, oldest?: string}} props `oldest`: the time of the oldest event that is kept, if some are forgotten */
export function Holder({ holder, at, oldest }) {
  const { proxy_id: id, node_id: node, exit_mode, exit_address, exit_prefix } = holder;
  const found = useRead("/proxies", { id, secrets: "no" });
  const made = useRead("/events", { proxy_id: id, type: MADE, order: "desc", limit: MOST });
  const period = { since: iso(Date.parse(at) - AROUND_MS), until: iso(Date.parse(at) + AROUND_MS), limit: MOST };
  const own = useRead("/events", { proxy_id: id, ...period });
  const nodes = useRead("/events", { node_id: node, type: "node.*", ...period });
  const proxy = found.data?.items[0];
  const isGone = found.data?.items.length === 0;
  const name = [`${t("kind.proxy")} ${id}`, holder.name].filter(Boolean).join(" · ");
  const around =
    own.data && nodes.data && [...own.data.items, ...nodes.data.items].sort((one, other) => other.id - one.id);
  const later = made.data?.items.filter(
    (/** @type {any} */ one) => one.details.changed?.includes("labels") && Date.parse(one.at) > Date.parse(at),
  );
  return html`<section class="panel holder">
    <div class="panel-head"><h2>${isGone ? name : html`<a href=${link(`/proxies/${id}`)}>${name}</a>`}</h2>
      ${isGone && html`<span class="badge missing">${t("lookup.removed")}</span>`}</div>
    <dl class="facts">
      <dt>${t("lookup.period")}</dt><dd>${time(holder.since)} – ${holder.until ? time(holder.until) : t("lookup.lasts")}</dd>
      <dt>${t("lookup.customer")}</dt><dd><${Customer} id=${id} read=${found} proxy=${proxy} isGone=${isGone} />
        ${later?.length > 0 && html`<p class="warn-text">${t("lookup.relabelled", { time: time(later.at(-1).at) })}</p>`}</dd>
      <dt>${t("lookup.endpoint")}</dt><dd class="mono">${holder.ip}:${String(holder.port)}</dd>
      <dt>${t("lookup.username")}</dt><dd class="mono">${holder.username ?? t("none")}</dd>
      <dt>${t("column.node")}</dt><dd><a href=${link(`/nodes/${node}`)}>${nameOf("nodes", node)}</a></dd>
      <dt>${t("lookup.exit")}</dt><dd>${[exit_mode, exit_address, exit_prefix].filter(Boolean).join(" ")}</dd>
      <dt>${t("nav./usage")}</dt><dd><${DayUsage} id=${id} at=${at} /></dd>
    </dl>
    <h3 class="below">${t("lookup.made")}</h3><${Log} read=${made} items=${made.data?.items} oldest=${isCut(oldest, holder.since) && oldest} />
    <h3 class="below">${t("lookup.around")}</h3><${Log} read=${own.data ? nodes : own} items=${around} oldest=${isCut(oldest, period.since) && oldest} />
  </section>`;
}

/** @param {string | undefined} oldest @param {string} since */
const isCut = (oldest, since) => oldest !== undefined && Date.parse(since) < Date.parse(oldest);

/** The customer by the labels that the proxy has now, or had when it was removed. @param {{id: number, read: any, proxy: any, isGone: boolean}} props */
function Customer({ id, read, proxy, isGone }) {
  const key = customerLabel.value;
  const last = useRead(isGone ? "/usage" : null, { proxy_id: id, by: `label:${key}`, limit: 1 });
  const value = isGone ? last.data?.items[0]?.labels[key] : proxy?.labels[key];
  if (!proxy && !last.data) return html`<${Waiting} read=${isGone ? last : read} />`;
  if (value == null) return html`<span class="muted">${t("lookup.no_customer", { label: key })}</span>`;
  return html`<a href=${link("/proxies", { label: `${key}:${value}` })}><b>${key}:${value}</b></a> <small>${t(isGone ? "lookup.then" : "lookup.today")}</small>`;
}

/** What it did on that day: the traffic tells whether it was in use. @param {{id: number, at: string}} props */
function DayUsage({ id, at }) {
  const from = `${at.slice(0, 10)}T00:00:00Z`;
  const read = useRead("/usage", { proxy_id: id, from, to: iso(Date.parse(from) + 24 * AROUND_MS) });
  const sum = read.data?.items[0];
  if (!read.data) return html`<${Waiting} read=${read} />`;
  if (!sum) return t("lookup.unused");
  return t("lookup.used", { received: bytes(sum.received_bytes), sent: bytes(sum.sent_bytes), n: sum.connections });
}

/** Events with their times in full, as evidence needs them. @param {{read: any, items?: any[], oldest: string | false | undefined}} props */
function Log({ read, items, oldest }) {
  if (!items) return html`<${Waiting} read=${read} />`;
  return html`${oldest && html`<p class="hint">${t("lookup.forgotten_events", { day: day(oldest) })}</p>`}
    ${
      items.length === 0
        ? html`<p class="muted">${t("events_none")}</p>`
        : html`<ul class="events dated">${items.map(
            (
              one,
            ) => html`<li key=${one.id} class=${classes("event", BAD.test(one.type) && "bad")}><time datetime=${one.at}>${time(one.at)}</time>
            <div><code>${one.type}</code> <span class="details">${detailText(one.details)}</span> <small>· ${actorText(one.actor)}${one.request_id && html` · <a href=${link("/events", { request_id: one.request_id })}>${one.request_id}</a>`}</small></div></li>`,
          )}</ul>`
    }`;
}
