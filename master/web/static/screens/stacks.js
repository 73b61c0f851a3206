// Stacks: groups of proxies that are kept at a number, and what is done to several of them.
import { get } from "../api.js";
import { ago, number } from "../format.js";
import { useList } from "../list.js";
import { nameOf } from "../names.js";
import { copy } from "../parts/elements/copy.js";
import { Labels } from "../parts/elements/labels.js";
import { Empty } from "../parts/elements/notice.js";
import { StateBar } from "../parts/elements/states.js";
import { toast } from "../parts/elements/toast.js";
import { Page } from "../parts/shell/screen.js";
import { StackActions } from "../parts/stacks/actions.js";
import { ColumnMenu } from "../parts/table/columns.js";
import { FilterBar } from "../parts/table/filterbar.js";
import { Table, Total } from "../parts/table/table.js";
import { go, link, route, setQuery } from "../router.js";
import { NOTHING } from "../selection.js";
import { thereOf } from "../stacks.js";
import { html, signal, useMemo } from "../view.js";
import { t } from "../words.js";

/** Where new proxies of a stack are placed. @param {any} stack */
const places = ({ proxy }) =>
  [
    ...(proxy.location_ids ?? []).map((/** @type {number} */ id) => nameOf("locations", id)),
    ...(proxy.node_ids ?? []).map((/** @type {number} */ id) => nameOf("nodes", id)),
  ].join(", ");

/** @param {any} stack how many there should be, and how many there are if that differs */
const wanted = (stack) =>
  thereOf(stack) === stack.count
    ? number(stack.count)
    : html`<span class="badge pending">${number(thereOf(stack))} / ${number(stack.count)}</span>`;

/** @type {import("../parts/table/columns.js").Column[]} */
const COLUMNS = [
  {
    key: "name",
    width: "minmax(110px, 1.3fr)",
    rank: 1,
    sort: "name",
    cell: (stack) => html`<a href=${link(`/stacks/${stack.id}`)}>${stack.name}</a>`,
  },
  { key: "proxies", width: "90px", rank: 1, end: true, cell: wanted },
  {
    key: "proxy_states",
    width: "minmax(84px, 1fr)",
    rank: 1,
    cell: (stack) => html`<${StateBar} counts=${stack.status} />`,
  },
  { key: "protocol", width: "90px", rank: 3, cell: (stack) => stack.proxy.protocol },
  { key: "places", width: "minmax(110px, 1.2fr)", cell: places },
  { key: "spread", width: "130px", rank: 3, cell: (stack) => t(`spread.${stack.spread}`) },
  {
    key: "labels",
    width: "minmax(140px, 1.3fr)",
    rank: 3,
    cell: (stack) => html`<${Labels} labels=${stack.labels} path="/stacks" />`,
  },
  { key: "updated", width: "120px", sort: "updated_at", cell: (stack) => ago(stack.updated_at) },
  { key: "created", width: "120px", extra: true, sort: "created_at", cell: (stack) => ago(stack.created_at) },
];

/** Copies the URLs of all proxies of a stack. @param {any} stack */
const copyUrls = ({ id, name }) =>
  copy(get("/proxies/export", { stack_id: id, format: "url" })).then(
    () => toast(t("copied_url", { endpoint: name })),
    () => toast(t("copy_failed"), { kind: "bad" }),
  );

export default function Stacks() {
  const query = route.value.query;
  const list = useList("stacks", { ...query, secrets: "no" });
  const selection = useMemo(() => signal(NOTHING), [list]);
  const create = html`<a class="button primary" href=${link("/proxies/create", { count: 10 })}>${t("stacks.create")}</a>`;
  return html`<${Page} fills title=${t("nav./stacks")} lead=${html`<${Total} list=${list} />`} actions=${html`<${ColumnMenu} name="stacks" columns=${COLUMNS} />${create}`}>
    <${FilterBar} name="stacks" path="/stacks" />
    <${StackActions} list=${list} selection=${selection} />
    <${Table} name="stacks" label=${t("nav./stacks")} list=${list} columns=${COLUMNS} selection=${selection} sort=${String(query.sort ?? "id")}
      onSort=${(/** @type {string} */ sort) => setQuery({ ...query, sort: sort === "id" ? null : sort })} onOpen=${(/** @type {any} */ stack) => go(`/stacks/${stack.id}`)} onCopy=${copyUrls}
      empty=${html`<${Nothing} isFiltered=${Object.keys(query).length > 0} create=${create} />`} />
  <//>`;
}

/** @param {{isFiltered: boolean, create: any}} props */
function Nothing({ isFiltered, create }) {
  if (isFiltered) return html`<${Empty} title=${t("stacks.no_match")}><p>${t("stacks.no_match_text")}</p><//>`;
  return html`<${Empty} title=${t("stacks.none")}><p>${t("stacks.none_text")}</p>${create}<//>`;
}
