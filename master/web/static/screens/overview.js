// The fleet at a glance: what needs attention, totals, locations, traffic and the latest events.
import { attention } from "../attention.js";
import { number, speed } from "../format.js";
import { named, nameOf } from "../names.js";
import { Empty, Stale, Waiting } from "../parts/elements/notice.js";
import { PROXY_STATES, StateBar, StateLinks, tallied } from "../parts/elements/states.js";
import { EventList } from "../parts/events/event_list.js";
import { Attention } from "../parts/overview/attention_list.js";
import { Page } from "../parts/shell/screen.js";
import { DayTraffic } from "../parts/usage/day_traffic.js";
import { link } from "../router.js";
import { isForbidden, useRead } from "../store.js";
import { html, useMemo } from "../view.js";
import { t } from "../words.js";

const WEEK_MS = 7 * 86_400_000;
const DAY_MS = 86_400_000;

export default function Overview() {
  const nodes = useRead("/nodes", { limit: 1000 }, { on: ["nodes"], every: 30 });
  const counts = useRead("/proxies/count", { by: "state,location", live: true }, { on: ["proxies"], every: 15 });
  if (nodes.data?.items.length === 0) return html`<${FirstNode} />`;
  if (counts.data?.total === 0) return html`<${FirstProxy} nodes=${nodes.data?.items.length ?? 0} />`;
  return html`<${Page} title=${t("nav./")}>
    <${Stale} read=${nodes.problem ? nodes : counts} />
    <div class="panels">
      <${AttentionPanel} nodes=${nodes} counts=${counts} />
      <section class="panel"><div class="panel-head"><h2><a href=${link("/proxies")}>${t("nav./proxies")}</a></h2></div>
        ${counts.data ? html`<${Totals} data=${counts.data} />` : html`<${Waiting} read=${counts} />`}</section>
      <section class="panel two-thirds"><h2>${t("overview.locations")}</h2>
        ${counts.data ? html`<${Locations} items=${counts.data.items} nodes=${nodes.data?.items ?? []} />` : html`<${Waiting} read=${counts} />`}</section>
      <section class="panel third"><${DayTraffic} /></section>
      <section class="panel"><div class="panel-head"><h2>${t("overview.events")}</h2><a href=${link("/events")}>${t("overview.all_events")}</a></div>
        <${EventList} limit=${12} subjects /></section>
    </div>
  <//>`;
}

/** @param {{nodes: import("../store.js").Read<any>, counts: import("../store.js").Read<any>}} props */
function AttentionPanel({ nodes, counts }) {
  const now = useMemo(() => Date.now(), []);
  const on = /** @type {import("../changes.js").Kind[]} */ (["proxies"]);
  const failing = useRead("/proxies/count", { by: "state,reason,node", state: "failed" }, { on, pause: 3000 });
  const quota = useRead("/proxies/count", { quota_from: 80 }, { every: 60 });
  const expiring = useRead(
    "/proxies/count",
    { expires_before: new Date(now + WEEK_MS).toISOString(), expires_after: new Date(now).toISOString() },
    { on, pause: 10_000 },
  );
  const rotations = useRead(
    "/rotations",
    { state: "failed", since: new Date(now - DAY_MS).toISOString(), limit: 100 },
    { on: ["rotations"], pause: 3000 },
  );
  const webhooks = useRead("/webhooks", { limit: 200 }, { every: 60 });
  const health = useRead("/health/report", {}, { every: 30 });
  const system = useRead("/system");
  const items = attention({
    nodes: nodes.data?.items,
    failing: failing.data?.items,
    pending: tallied(counts.data?.items, "state").pending,
    rotations: rotations.data?.items,
    webhooks: webhooks.data?.items,
    quota: quota.data?.total,
    expiring: expiring.data?.total,
    health: health.data,
    version: system.data?.version,
  });
  const ofWhole = [webhooks, health, system].filter((read) => !isForbidden(read));
  const reads = [nodes, counts, failing, quota, expiring, rotations, ...ofWhole];
  return html`<${Attention} items=${items} reads=${reads} />`;
}

/** @param {{data: {items: any[], total: number}}} props */
function Totals({ data }) {
  const states = tallied(data.items, "state");
  const sum = (/** @type {string} */ member) => data.items.reduce((total, one) => total + (one[member] ?? 0), 0);
  return html`<div class="totals">
    <p class="figure"><b>${number(data.total)}</b> <span>${t("overview.proxies")}</span></p>
    <p class="figure"><b>${number(sum("connections"))}</b> <span>${t("overview.connections")}</span></p>
    <p class="figure"><b>${speed(sum("rx_bps") + sum("tx_bps"))}</b> <span>${t("overview.rate")}</span></p>
  </div>
  <${StateBar} counts=${states} /><${StateLinks} counts=${states} path="/proxies" />`;
}

/** Locations by states of their proxies. @param {{items: any[], nodes: any[]}} props */
function Locations({ items, nodes }) {
  const ids = [...new Set([...named("locations").keys(), ...items.map((one) => one.location_id ?? null)])];
  const states = PROXY_STATES.filter((state) => items.some((one) => one.state === state));
  return html`<div class="scrolls"><table class="plain matrix">
    <thead><tr><th>${t("column.location")}</th><th class="end">${t("nav./nodes")}</th>${states.map((state) => html`<th class="end" key=${state}>${t(`state.${state}`)}</th>`)}<td></td></tr></thead>
    <tbody>${ids.map((id) => {
      const own = tallied(
        items.filter((one) => (one.location_id ?? null) === id),
        "state",
      );
      const here = nodes.filter((one) => one.location_id === id);
      const online = here.filter((one) => one.status.state === "online").length;
      const query = { location_id: id };
      return html`<tr key=${id}><td>${id === null ? t("overview.no_location") : html`<a href=${link("/proxies", query)}>${nameOf("locations", id)}</a>`}</td>
        <td class="end"><a href=${link("/nodes", id === null ? {} : query)} class=${online < here.length ? "bad-text" : ""}>${number(online)} / ${number(here.length)}</a></td>
        ${states.map((state) => html`<td class="end" key=${state}>${own[state] ? html`<a href=${link("/proxies", { ...(id === null ? {} : query), state })}>${number(own[state])}</a>` : html`<span class="muted">0</span>`}</td>`)}
        <td class="bar-cell"><${StateBar} counts=${own} /></td></tr>`;
    })}</tbody>
  </table></div>`;
}

function FirstNode() {
  return html`<${Page} title=${t("nav./")}><${Empty} title=${t("overview.no_node")}>
    <p>${t("overview.no_node_text")}</p><a class="button primary" href=${link("/nodes/enrol")}>${t("nav./nodes/enrol")}</a><//><//>`;
}

/** @param {{nodes: number}} props */
function FirstProxy({ nodes }) {
  return html`<${Page} title=${t("nav./")}><${Empty} title=${t("overview.no_proxy")}>
    <p>${t("overview.no_proxy_text", { n: nodes })}</p><a class="button primary" href=${link("/proxies/create")}>${t("nav./proxies/create")}</a>
    <//><//>`;
}
