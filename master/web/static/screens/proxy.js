// One proxy: what a client needs first, then what it does, its limits, rotations and history.
import { ago, time } from "../format.js";
import { nameOf } from "../names.js";
import { Labels } from "../parts/elements/labels.js";
import { Stale, Waiting } from "../parts/elements/notice.js";
import { Badge } from "../parts/elements/states.js";
import { EventList } from "../parts/events/event_list.js";
import { CheckPanel } from "../parts/proxies/check.js";
import { endpoint, versions } from "../parts/proxies/columns.js";
import { LimitsPanel } from "../parts/proxies/limits.js";
import { ProxyMenu } from "../parts/proxies/menu.js";
import { Rotations } from "../parts/proxies/rotations.js";
import { UsePanel } from "../parts/proxies/use.js";
import { Page } from "../parts/shell/screen.js";
import { UsageChart } from "../parts/usage/over_time.js";
import { link } from "../router.js";
import { useResource } from "../store.js";
import { html } from "../view.js";
import { t } from "../words.js";

/** @typedef {import("../resources.d.ts").Proxy} Proxy */

/** @param {{id: string}} props */
export default function ProxyScreen({ id }) {
  const read = useResource("proxies", id);
  /** @type {Proxy | undefined} */
  const proxy = read.data;
  if (!proxy) return html`<${Page} title=${`${t("kind.proxy")} ${id}`}><${Waiting} read=${read} /><//>`;
  const lead = html`<${Badge} state=${proxy.status.state} />${proxy.name && html`<b>${proxy.name}</b>`}<span>${t("proxy.number", { id: String(proxy.id) })}</span>`;
  return html`<${Page} title=${html`<span class="mono">${endpoint(proxy)}</span>`} lead=${lead} actions=${html`<${ProxyMenu} proxy=${proxy} />`}>
    <${Stale} read=${read} />
    <${Trouble} proxy=${proxy} />
    <div class="panels">
      <div class="pile"><${UsePanel} proxy=${proxy} /><${LimitsPanel} proxy=${proxy} />
        <section class="panel"><${UsageChart} query=${{ proxy_id: id }} /></section><${FactsPanel} proxy=${proxy} /></div>
      <div class="pile"><${CheckPanel} proxy=${proxy} />
        <section class="panel"><h2>${t("rotations")}</h2><${Rotations} query=${{ proxy_id: id }} /></section>
        <section class="panel"><h2>${t("history")}</h2><${EventList} query=${{ proxy_id: id }} limit=${20} /></section></div>
    </div>
  <//>`;
}

/** Says what keeps the proxy from serving, in words. @param {{proxy: Proxy}} props */
function Trouble({ proxy }) {
  const { state, reason, observed_version: observed } = proxy.status;
  const node = nameOf("nodes", proxy.node_id);
  if (state === "running" && observed === proxy.version) return null;
  const key = state === "running" || state === "pending" ? (observed === null ? "new" : "pending") : state;
  const values = { node, wanted: proxy.version, observed: observed ?? 0, reason: reason ?? "" };
  return html`<div class=${`notice ${state === "failed" ? "bad" : "warn"}`} role="status"><p>${t(`trouble.${key}`, values)}</p></div>`;
}

/** @param {{proxy: Proxy}} props */
function FactsPanel({ proxy }) {
  const { exit } = proxy;
  return html`<section class="panel"><h2>${t("facts")}</h2><dl class="facts">
    <dt>${t("column.node")}</dt><dd><a href=${link(`/nodes/${proxy.node_id}`)}>${nameOf("nodes", proxy.node_id)}</a></dd>
    <dt>${t("column.location")}</dt><dd>${nameOf("locations", proxy.location_id)}</dd>
    <dt>${t("column.stack")}</dt><dd>${proxy.stack_id ? html`<a href=${link(`/stacks/${proxy.stack_id}`)}>${nameOf("stacks", proxy.stack_id)}</a>` : t("none")}</dd>
    <dt>${t("column.protocol")}</dt><dd>${[proxy.protocol, proxy.tls && "TLS", proxy.engine].filter(Boolean).join(", ")}</dd>
    <dt>${t("column.exit")}</dt><dd>${[exit.mode, exit.address, exit.prefix].filter(Boolean).join(" ")}</dd>
    <dt>${t("allow_ips")}</dt><dd>${proxy.allow_ips.join(", ") || t("any")}</dd>
    <dt>${t("column.version")}</dt><dd>${versions(proxy)}</dd>
    <dt>${t("column.labels")}</dt><dd>${Object.keys(proxy.labels).length ? html`<${Labels} labels=${proxy.labels} path="/proxies" />` : t("none")}</dd>
    <dt>${t("column.created")}</dt><dd>${time(proxy.created_at)} <small>${ago(proxy.created_at)}</small></dd>
    <dt>${t("column.updated")}</dt><dd>${time(proxy.updated_at)} <small>${ago(proxy.updated_at)}</small></dd>
    ${proxy.rotation && html`<dt>${t("schedule")}</dt><dd>${t("schedule_every", { n: Math.round(proxy.rotation.every_s / 60) })}, ${proxy.rotation.what.join(", ")}; ${ago(proxy.rotation.next_at)}</dd>`}
    <dt>${t("destinations")}</dt><dd>${Object.values(proxy.destinations).flat().join(", ") || t("none")}</dd>
  </dl></section>`;
}
