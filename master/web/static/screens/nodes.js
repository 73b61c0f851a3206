// Nodes: the hosts of the fleet, and what is done to many of them.
import { roomOf } from "../capacity.js";
import { ago, number, percent, speed } from "../format.js";
import { beginList, useList } from "../list.js";
import { named, nameOf } from "../names.js";
import { copy } from "../parts/elements/copy.js";
import { Labels } from "../parts/elements/labels.js";
import { Empty } from "../parts/elements/notice.js";
import { Badge, StateBar } from "../parts/elements/states.js";
import { toast } from "../parts/elements/toast.js";
import { NodeActions } from "../parts/nodes/actions.js";
import { Page } from "../parts/shell/screen.js";
import { ColumnMenu } from "../parts/table/columns.js";
import { FilterBar } from "../parts/table/filterbar.js";
import { Table, Total } from "../parts/table/table.js";
import { go, link, route, setQuery } from "../router.js";
import { NOTHING } from "../selection.js";
import { html, signal, useMemo } from "../view.js";
import { t } from "../words.js";

/** @param {any} node the states of its proxies */
const countsOf = ({ status }) => ({
  failed: status.failed,
  missing: status.missing,
  limited: status.limited,
  running: Math.max(0, status.running - status.limited),
});

/** @type {import("../parts/table/columns.js").Column[]} */
const COLUMNS = [
  {
    key: "name",
    width: "minmax(120px, 1.3fr)",
    rank: 1,
    sort: "name",
    cell: (node) => html`<a href=${link(`/nodes/${node.id}`)}>${node.name}</a>`,
  },
  { key: "link", width: "120px", rank: 1, cell: (node) => html`<${Badge} state=${node.status.state} />` },
  { key: "state", width: "124px", cell: (node) => html`<${Badge} state=${node.state} />` },
  { key: "location", width: "minmax(90px, 1fr)", cell: (node) => nameOf("locations", node.location_id) },
  { key: "ip", width: "minmax(110px, 1fr)", rank: 3, cell: (node) => html`<span class="mono">${node.ip}</span>` },
  { key: "proxies", width: "70px", end: true, rank: 1, cell: (node) => number(node.status.count) },
  {
    key: "proxy_states",
    width: "110px",
    cell: (node) => html`<${StateBar} counts=${countsOf(node)} order=${["failed", "missing", "limited", "running"]} />`,
  },
  { key: "confirmed", width: "110px", end: true, rank: 3, cell: (node) => confirmed(node) },
  { key: "load", width: "70px", end: true, cell: (node) => percent(node.status.load?.cpu) },
  {
    key: "traffic",
    width: "110px",
    end: true,
    rank: 3,
    cell: (node) => speed(node.status.load && node.status.load.rx_bps + node.status.load.tx_bps),
  },
  {
    key: "connections",
    width: "100px",
    end: true,
    rank: 3,
    extra: true,
    cell: (node) => number(node.status.load?.connections),
  },
  { key: "ports_left", width: "90px", end: true, rank: 3, cell: (node) => number(roomOf(node)) },
  { key: "engines", width: "minmax(90px, 1fr)", extra: true, cell: (node) => Object.keys(node.engines).join(", ") },
  { key: "agent", width: "80px", rank: 3, cell: (node) => node.agent },
  {
    key: "labels",
    width: "minmax(90px, 1fr)",
    rank: 3,
    cell: (node) => html`<${Labels} labels=${node.labels} path="/nodes" />`,
  },
  { key: "reported", width: "110px", extra: true, cell: (node) => ago(node.status.reported_at) },
];

/** The confirmed revision against the wanted one. @param {any} node */
function confirmed({ status, revision }) {
  if (status.confirmed_rev >= revision) return number(revision);
  return html`<span class="badge pending">${number(status.confirmed_rev)} / ${number(revision)}</span>`;
}

const COUNTED = { counts: true };

/** Begins to read the list, before the screen can be shown. @param {import("../query.js").Query} query */
Nodes.begin = (query) => beginList("nodes", query, COUNTED);

export default function Nodes() {
  const query = route.value.query;
  const list = useList("nodes", query, COUNTED);
  const selection = useMemo(() => signal(NOTHING), [list]);
  const locations = [...named("locations").values()].map((one) => one.name);
  const onSort = (/** @type {string} */ sort) => setQuery({ ...query, sort: sort === "id" ? null : sort });
  const copyAddress = (/** @type {any} */ node) => copy(node.ip).then(() => toast(t("copied")));
  return html`<${Page} fills title=${t("nav./nodes")} lead=${html`<${Total} list=${list} />`}
    actions=${html`<${ColumnMenu} name="nodes" columns=${COLUMNS} /><a class="button" href=${link("/upgrades")}>${t("nav./upgrades")}</a><a class="button" href=${link("/nodes/invitations")}>${t("nav./nodes/invitations")}</a><a class="button primary" href=${link("/nodes/enrol")}>${t("nav./nodes/enrol")}</a>`}>
    <${FilterBar} name="nodes" path="/nodes" values=${{ location: locations }} counts />
    <${NodeActions} list=${list} selection=${selection} />
    <${Table} name="nodes" label=${t("nav./nodes")} list=${list} columns=${COLUMNS} selection=${selection} sort=${String(query.sort ?? "id")}
      onSort=${onSort} onOpen=${(/** @type {any} */ node) => go(`/nodes/${node.id}`)} onCopy=${copyAddress}
      empty=${html`<${Nothing} filtered=${Object.keys(query).length > 0} />`} />
  <//>`;
}

/** @param {{filtered: boolean}} props */
function Nothing({ filtered }) {
  if (filtered) return html`<${Empty} title=${t("nodes.no_match")}><p>${t("nodes.no_match_text")}</p><//>`;
  return html`<${Empty} title=${t("nodes.none")}><p>${t("nodes.none_text")}</p>
    <a class="button primary" href=${link("/nodes/enrol")}>${t("nav./nodes/enrol")}</a><//>`;
}
