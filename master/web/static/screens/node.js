// One node: its proxies, usage, events, exits, moves, and what can take it out of service.

import { filterOf } from "../filter.js";
import { ago, number, percent, speed, time } from "../format.js";
import { useList } from "../list.js";
import { nameOf } from "../names.js";
import { Labels } from "../parts/elements/labels.js";
import { Meter } from "../parts/elements/meter.js";
import { Stale, Waiting } from "../parts/elements/notice.js";
import { Badge } from "../parts/elements/states.js";
import { Tabs } from "../parts/elements/tabs.js";
import { EventList } from "../parts/events/event_list.js";
import { DangerPanel } from "../parts/nodes/danger.js";
import { NodeMenu } from "../parts/nodes/menu.js";
import { HeldList, LinkNotice } from "../parts/nodes/notices.js";
import { ExitsPanel, MovingPanel } from "../parts/nodes/panels.js";
import { ProxyActions } from "../parts/proxies/actions.js";
import { COLUMNS, copyUrl } from "../parts/proxies/columns.js";
import { Page } from "../parts/shell/screen.js";
import { FilterBar } from "../parts/table/filterbar.js";
import { Table, Total } from "../parts/table/table.js";
import { UsageChart } from "../parts/usage/over_time.js";
import { go, link, route, setQuery } from "../router.js";
import { NOTHING } from "../selection.js";
import { useRead, useResource } from "../store.js";
import { html, signal, useMemo } from "../view.js";
import { t } from "../words.js";

/** @param {{id: string}} props */
export default function NodeScreen({ id }) {
  const read = useResource("nodes", id);
  const counted = useRead("/proxies/count", { node_id: id }, { on: ["proxies"], pause: 2000 });
  /** @type {import("../resources.d.ts").Node | undefined} */
  const node = read.data;
  if (!node) return html`<${Page} title=${`${t("kind.node")} ${id}`}><${Waiting} read=${read} /><//>`;
  const { status, moving } = node;
  const wanted = counted.data?.total;
  const tabs = [
    { key: "proxies", words: t("nav./proxies"), count: number(status.count) },
    { key: "usage", words: t("usage") },
    { key: "events", words: t("nav./events") },
    { key: "exits", words: t("node.exits") },
    { key: "moving", words: t("node.moving"), count: moving ? number(moving.left) : null },
    { key: "danger", words: t("node.danger") },
  ];
  const lead = html`<${Badge} state=${status.state} />${node.state !== "active" && html`<${Badge} state=${node.state} />`}
    <span class="mono">${node.ip}</span><span>${nameOf("locations", node.location_id)}</span>
    <span class=${status.confirmed_rev < node.revision ? "badge pending" : ""}>${wanted !== undefined && t("node.confirmed", { wanted, confirmed: status.count })}</span>`;
  return html`<${Page} fills title=${node.name} lead=${lead} actions=${html`<${NodeMenu} node=${node} />`}>
    <${Stale} read=${read} /><${LinkNotice} node=${node} /><${HeldList} node=${node} />
    <${Facts} node=${node} />
    <${Tabs} label=${node.name} tabs=${tabs} render=${(/** @type {string} */ key) => html`<${Panel} name=${key} node=${node} />`} />
  <//>`;
}

/** @param {{node: any}} props */
function Facts({ node }) {
  const { load, reported_at: at } = node.status;
  return html`<div class="strip">
    <div><small>${t("column.load")}</small>${load ? html`<${Meter} share=${load.cpu} words=${percent(load.cpu)} />` : "–"}</div>
    <div><small>${t("node.memory")}</small>${load ? html`<${Meter} share=${load.memory} words=${percent(load.memory)} />` : "–"}</div>
    <div><small>${t("column.traffic")}</small>${load ? `↓ ${speed(load.rx_bps)} ↑ ${speed(load.tx_bps)}` : "–"}</div>
    <div><small>${t("column.connections")}</small>${number(load?.connections)}</div>
    <div><small>${t("node.host")}</small><span title=${node.os}>${node.host}</span></div>
    <${Agent} node=${node} />
    <div><small>${t("column.engines")}</small>${Object.entries(node.engines)
      .map(([name, version]) => `${name} ${version}`)
      .join(", ")}</div>
    <div><small>${t("column.reported")}</small><span title=${time(at)}>${ago(at)}</span></div>
    ${Object.keys(node.labels).length > 0 && html`<div><small>${t("column.labels")}</small><${Labels} labels=${node.labels} path="/nodes" /></div>`}
  </div>`;
}

/** The version of the agent, and what upgrades it takes part in. @param {{node: any}} props */
function Agent({ node }) {
  const { version, state, reason } = node.status.upgrade ?? {};
  const pinned = node.pinned_version && t("node.pinned", { version: node.pinned_version });
  const upgrade = version && t("node.upgrade", { version, state });
  return html`<div><small>${t("column.agent")}</small><span>${node.agent} ${pinned && html`<small>${pinned}</small>`}
    ${upgrade && html`<a href=${link("/upgrades")} title=${reason}>${upgrade}</a>`}</span></div>`;
}

/** @param {{name: string, node: any}} props */
function Panel({ name, node }) {
  const query = { node_id: node.id };
  if (name === "proxies") return html`<${ProxiesPanel} node=${node} />`;
  if (name === "usage") return html`<section class="panel scrolled"><${UsageChart} query=${query} /></section>`;
  if (name === "events")
    return html`<section class="panel scrolled"><${EventList} query=${query} limit=${200} subjects /></section>`;
  if (name === "exits") return html`<${ExitsPanel} node=${node} />`;
  if (name === "moving") return html`<${MovingPanel} node=${node} />`;
  return html`<${DangerPanel} node=${node} />`;
}

/** @param {{node: any}} props */
function ProxiesPanel({ node }) {
  const query = route.value.query;
  const filter = { ...filterOf(query), node_id: node.id };
  const { tab: _, ...shown } = query;
  const list = useList("proxies", { ...shown, node_id: node.id, secrets: "no" }, { counts: true });
  const selection = useMemo(() => signal(NOTHING), [list]);
  const columns = COLUMNS.filter((one) => one.key !== "node" && one.key !== "location");
  return html`<div class="filter-line"><${FilterBar} name="proxies" path="/proxies" /><${Total} list=${list} /></div>
    <${ProxyActions} list=${list} selection=${selection} filter=${filter} />
    <${Table} name="node_proxies" label=${t("nav./proxies")} list=${list} columns=${columns} selection=${selection} sort=${String(query.sort ?? "id")}
      onSort=${(/** @type {string} */ sort) => setQuery({ ...query, sort: sort === "id" ? null : sort })} onOpen=${(/** @type {any} */ one) => go(`/proxies/${one.id}`)} onCopy=${copyUrl} />`;
}
