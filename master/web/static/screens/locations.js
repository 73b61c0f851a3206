// Locations: their nodes, how many proxies they have and can take, and rebalancing.
import { together } from "../capacity.js";
import { ago, number } from "../format.js";
import { useList } from "../list.js";
import { named } from "../names.js";
import { copy } from "../parts/elements/copy.js";
import { Labels } from "../parts/elements/labels.js";
import { Meter } from "../parts/elements/meter.js";
import { Empty } from "../parts/elements/notice.js";
import { StateBar, tallied } from "../parts/elements/states.js";
import { toast } from "../parts/elements/toast.js";
import { LocationActions, NewLocation } from "../parts/locations/actions.js";
import { Page } from "../parts/shell/screen.js";
import { ColumnMenu } from "../parts/table/columns.js";
import { FilterBar } from "../parts/table/filterbar.js";
import { Table, Total } from "../parts/table/table.js";
import { go, link, route, setQuery } from "../router.js";
import { NOTHING } from "../selection.js";
import { useRead } from "../store.js";
import { classes, html, signal, useMemo, useState } from "../view.js";
import { t } from "../words.js";

/** @typedef {{nodes: number, online: number, used: number, capacity: number, free: number}} Sums */

/**
 * @param {(id: number) => Sums} sums of the nodes of a location
 * @param {(id: number) => Record<string, number>} states of its proxies
 * @returns {import("../parts/table/columns.js").Column[]}
 */
const columns = (sums, states) => [
  {
    key: "name",
    width: "minmax(100px, 1.2fr)",
    rank: 1,
    sort: "name",
    cell: (one) => html`<a href=${link("/nodes", { location_id: one.id })}>${one.name}</a>`,
  },
  { key: "country", width: "80px", cell: (one) => one.country ?? "" },
  {
    key: "nodes",
    width: "80px",
    end: true,
    rank: 1,
    cell: (one) => html`<${NodesCell} id=${one.id} sums=${sums(one.id)} />`,
  },
  {
    key: "proxies",
    width: "80px",
    end: true,
    rank: 1,
    cell: (one) => html`<a href=${link("/proxies", { location_id: one.id })}>${number(sums(one.id).used)}</a>`,
  },
  { key: "proxy_states", width: "minmax(84px, 1fr)", cell: (one) => html`<${StateBar} counts=${states(one.id)} />` },
  { key: "capacity", width: "minmax(130px, 1fr)", cell: (one) => html`<${CapacityCell} sums=${sums(one.id)} />` },
  { key: "ports_left", width: "90px", end: true, cell: (one) => number(sums(one.id).free) },
  {
    key: "labels",
    width: "minmax(110px, 1fr)",
    rank: 3,
    cell: (one) => html`<${Labels} labels=${one.labels} path="/locations" />`,
  },
  { key: "created", width: "120px", extra: true, sort: "created_at", cell: (one) => ago(one.created_at) },
];

/** @param {{id: number, sums: Sums}} props */
function NodesCell({ id, sums: { nodes, online } }) {
  return html`<a class=${classes(online < nodes && "bad-text")} title=${t("locations.online", { online, nodes })} href=${link("/nodes", { location_id: id })}>${number(online)} / ${number(nodes)}</a>`;
}

/** @param {{sums: Sums}} props */
function CapacityCell({ sums: { used, capacity } }) {
  if (capacity === 0) return html`<span class="muted">${t("locations.no_capacity")}</span>`;
  return html`<${Meter} share=${used / capacity} words=${`${number(used)} / ${number(capacity)}`} title=${t("locations.capacity_text")} />`;
}

export default function Locations() {
  const query = route.value.query;
  const list = useList("locations", query);
  const counts = useRead("/proxies/count", { by: "location,state" }, { on: ["proxies"], every: 30, pause: 2000 });
  const selection = useMemo(() => signal(NOTHING), [list]);
  const [isCreating, setCreating] = useState(false);
  const nodes = [...named("nodes").values()];
  const sums = (/** @type {number} */ id) => together(nodes.filter((one) => one.location_id === id));
  const states = (/** @type {number} */ id) =>
    tallied(
      counts.data?.items.filter((/** @type {any} */ one) => one.location_id === id),
      "state",
    );
  const all = columns(sums, states);
  const create = html`<button type="button" class="primary" onClick=${() => setCreating(true)}>${t("locations.create")}</button>`;
  return html`<${Page} fills title=${t("nav./locations")} lead=${html`<${Total} list=${list} />`} actions=${html`<${ColumnMenu} name="locations" columns=${all} />${create}`}>
    <${FilterBar} name="locations" path="/locations" />
    <${LocationActions} list=${list} selection=${selection} />
    <${Table} name="locations" label=${t("nav./locations")} list=${list} columns=${all} selection=${selection} sort=${String(query.sort ?? "id")}
      onSort=${(/** @type {string} */ sort) => setQuery({ ...query, sort: sort === "id" ? null : sort })} onOpen=${(/** @type {any} */ one) => go("/nodes", { location_id: one.id })}
      onCopy=${(/** @type {any} */ one) => copy(one.name).then(() => toast(t("copied")))} empty=${html`<${Nothing} isFiltered=${Object.keys(query).length > 0} create=${create} />`} />
    ${isCreating && html`<${NewLocation} onClose=${() => setCreating(false)} />`}
  <//>`;
}

/** @param {{isFiltered: boolean, create: any}} props */
function Nothing({ isFiltered, create }) {
  if (isFiltered) return html`<${Empty} title=${t("locations.no_match")}><p>${t("locations.no_match_text")}</p><//>`;
  return html`<${Empty} title=${t("locations.none")}><p>${t("locations.none_text")}</p>${create}<//>`;
}
