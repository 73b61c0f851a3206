// Customers: one row for each value of a label, and what is done to all proxies of a customer.
import { customersOf, sorted } from "../customers.js";
import { filterOf } from "../filter.js";
import { ago, bytes, number, speed, time } from "../format.js";
import { named } from "../names.js";
import { CustomerActions } from "../parts/customers/actions.js";
import { Sell } from "../parts/customers/sell.js";
import { copy } from "../parts/elements/copy.js";
import { Empty, Stale } from "../parts/elements/notice.js";
import { StateBar } from "../parts/elements/states.js";
import { toast } from "../parts/elements/toast.js";
import { Page } from "../parts/shell/screen.js";
import { ColumnMenu } from "../parts/table/columns.js";
import { FilterBar } from "../parts/table/filterbar.js";
import { Table, Total } from "../parts/table/table.js";
import { customerLabel } from "../prefs.js";
import { values } from "../query.js";
import { go, link, route, setQuery } from "../router.js";
import { useRows } from "../rows.js";
import { NOTHING } from "../selection.js";
import { useRead } from "../store.js";
import { html, signal, useMemo, useState } from "../view.js";
import { t } from "../words.js";

const MOST = 1000;
const PERIOD_MS = 30 * 86_400_000;
const HOUR_MS = 3_600_000;
/** Members of a filter of proxies that usage knows, too. */
const OF_USAGE = ["node_id", "node", "stack_id", "stack", "location_id", "location", "label", "not.label"];

/** @param {(one: import("../customers.js").Customer) => import("../query.js").Query} filter @returns {import("../parts/table/columns.js").Column[]} */
const columns = (filter) => [
  {
    key: "customer",
    width: "minmax(96px, 1.2fr)",
    rank: 1,
    sort: "customer",
    cell: (one) => html`<a href=${link("/proxies", filter(one))}>${one.customer}</a>`,
  },
  { key: "proxies", width: "80px", rank: 1, end: true, sort: "count", cell: (one) => number(one.count) },
  {
    key: "proxy_states",
    width: "minmax(84px, 1fr)",
    rank: 1,
    cell: (one) => html`<${StateBar} counts=${one.states} />`,
  },
  { key: "connections", width: "110px", end: true, sort: "connections", cell: (one) => number(one.connections) },
  { key: "rate", width: "120px", end: true, rank: 3, sort: "rate", cell: (one) => speed(one.rate) },
  {
    key: "month",
    width: "120px",
    end: true,
    sort: "bytes",
    cell: (one) => html`<a href=${link("/usage", { label: filter(one).label })}>${bytes(one.bytes)}</a>`,
  },
  {
    key: "next_expiry",
    width: "130px",
    end: true,
    sort: "expires_at",
    cell: (one) => (one.expires_at ? html`<span title=${time(one.expires_at)}>${ago(one.expires_at)}</span>` : ""),
  },
];

export default function Customers() {
  const label = customerLabel.value;
  const query = route.value.query;
  const { q, ...filter } = filterOf(query);
  const read = useCustomers(label, filter);
  const typed = String(q ?? "").toLowerCase();
  const sort = String(query.sort ?? "customer");
  const rows = useMemo(
    () => sorted(read.rows, sort).filter((one) => one.customer.toLowerCase().startsWith(typed)),
    [read.rows, sort, typed],
  );
  const list = useRows(rows, read.counts);
  const selection = useMemo(() => signal(NOTHING), [JSON.stringify([label, filter])]);
  const [isSelling, setSelling] = useState(false);
  const filterFor = (/** @type {import("../customers.js").Customer} */ one) => ({
    ...filter,
    label: [...values(filter, "label"), `${label}:${one.customer}`],
  });
  const known = read.rows.map((one) => one.customer);
  const offered = {
    label: known.map((one) => `${label}:${one}`),
    location: [...named("locations").values()].map((one) => one.name),
    node: [...named("nodes").values()].map((one) => one.name),
    stack: [...named("stacks").values()].map((one) => one.name),
  };
  const all = columns(filterFor);
  const sell = html`<button type="button" class="primary" onClick=${() => setSelling(true)}>${t("customers.sell")}</button>`;
  const onSort = (/** @type {string} */ next) => setQuery({ ...query, sort: next === "customer" ? null : next });
  const copyName = (/** @type {any} */ one) => copy(one.customer).then(() => toast(t("copied")));
  return html`<${Page} fills title=${t("nav./customers")} lead=${html`<${Total} list=${list} /><span>${t("customers.by", { label })}</span>`}
    actions=${html`<${ColumnMenu} name="customers" columns=${all} />${sell}`}>
    <${Stale} read=${read.counts} />
    <${FilterBar} name="customers" path="/proxies" values=${offered} />
    ${read.counts.data?.items.length === MOST && html`<p class="notice warn">${t("customers.most", { n: MOST })}</p>`}
    <${CustomerActions} list=${list} selection=${selection} label=${label} filterOf=${filterFor} />
    <${Table} name="customers" label=${t("nav./customers")} list=${list} columns=${all} selection=${selection} sort=${sort} onSort=${onSort}
      onOpen=${(/** @type {any} */ one) => go("/proxies", filterFor(one))} onCopy=${copyName} empty=${html`<${Nothing} label=${label} isFiltered=${Object.keys(filterOf(query)).length > 0} sell=${sell} />`} />
    ${isSelling && html`<${Sell} label=${label} known=${known} onClose=${() => setSelling(false)} />`}
  <//>`;
}

/**
 * What is known of the customers. Those that run are what the counts by state leave, so that no small group is missed.
 * @param {string} label
 * @param {import("../query.js").Query} filter
 */
function useCustomers(label, filter) {
  const owned = { ...filter, label: [...values(filter, "label"), label] };
  const others = { ...owned, "not.state": [...values(filter, "not.state"), "running"] };
  const from = useMemo(() => since(PERIOD_MS), []);
  const shared = Object.fromEntries(Object.entries(owned).filter(([name]) => OF_USAGE.includes(name)));
  const on = /** @type {import("../changes.js").Kind[]} */ (["proxies"]);
  const by = `label:${label}`;
  const counts = useRead("/proxies/count", { ...owned, by, live: true }, { on, every: 30, pause: 2000 });
  const troubled = useRead("/proxies/count", { ...others, by: `${by},state` }, { on, every: 30, pause: 2000 });
  const usage = useRead("/usage", { ...shared, by, from, sort: "-bytes", limit: MOST }, { every: 60 });
  const rows = useMemo(
    () => customersOf(label, counts.data?.items ?? [], troubled.data?.items ?? [], usage.data?.items),
    [label, counts.data, troubled.data, usage.data],
  );
  return { counts, rows };
}

/** The full hour that began so long ago. @param {number} milliseconds */
const since = (milliseconds) => new Date(Math.floor((Date.now() - milliseconds) / HOUR_MS) * HOUR_MS).toISOString();

/** @param {{label: string, isFiltered: boolean, sell: any}} props */
function Nothing({ label, isFiltered, sell }) {
  if (isFiltered) return html`<${Empty} title=${t("customers.no_match")}><p>${t("customers.no_match_text")}</p><//>`;
  return html`<${Empty} title=${t("customers.none")}><p>${t("customers.none_text", { label })}</p>${sell}<//>`;
}
