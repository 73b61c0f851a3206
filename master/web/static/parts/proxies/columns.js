// The columns of a list of proxies, and what is copied of one.
import { get } from "../../api.js";
import { ago, bytes, number, percent, speed } from "../../format.js";
import { nameOf } from "../../names.js";
import { link } from "../../router.js";
import { html } from "../../view.js";
import { t } from "../../words.js";
import { CopyButton, copy } from "../elements/copy.js";
import { Labels } from "../elements/labels.js";
import { Meter } from "../elements/meter.js";
import { Badge } from "../elements/states.js";
import { toast } from "../elements/toast.js";

/** @typedef {import("../../resources.d.ts").Proxy} Proxy */

/** The URL of a proxy. Lists carry no secrets, so it is read when somebody copies it. @param {{id: number}} proxy @returns {Promise<string>} */
export const urlOf = async ({ id }) => (await get(`/proxies/${id}`)).urls[0];

/** @param {Proxy} proxy */
export const copyUrl = (proxy) =>
  copy(urlOf(proxy)).then(
    () => toast(t("copied_url", { endpoint: endpoint(proxy) })),
    () => toast(t("copy_failed"), { kind: "bad" }),
  );

/** @param {{host: string, port: number}} proxy */
export const endpoint = ({ host, port }) => `${host.includes(":") ? `[${host}]` : host}:${port}`;

/** The version that runs against the wanted one. @param {Proxy} proxy */
export function versions({ version, status }) {
  if (status.observed_version === version) return number(version);
  return html`<span class="badge pending" title=${t("version_pending")}>${number(status.observed_version)} / ${number(version)}</span>`;
}

/** The share of the quota that is spent. @param {any} proxy */
function quota({ usage, limits }) {
  const spent = usage?.quota;
  if (!spent?.limit_bytes) return limits.traffic_bytes ? bytes(limits.traffic_bytes) : "";
  const share = spent.used_bytes / spent.limit_bytes;
  return html`<${Meter} share=${share} words=${percent(share)} title=${`${bytes(spent.used_bytes)} / ${bytes(spent.limit_bytes)}`} />`;
}

/** @param {any} proxy */
function check({ last_check: last }) {
  if (!last) return "";
  return html`<span class=${`badge ${last.ok ? "ok" : "error"}`} title=${last.reason ?? last.exit_ip}>${last.ok ? `${number(last.latency_ms)} ms` : last.step}</span>`;
}

/** @type {import("../table/columns.js").Column[]} */
export const COLUMNS = [
  {
    key: "endpoint",
    width: "minmax(160px, 1.3fr)",
    rank: 1,
    cell: (proxy) => html`<a class="mono" href=${link(`/proxies/${proxy.id}`)}>${endpoint(proxy)}</a>
      <${CopyButton} text=${() => urlOf(proxy)} label=${t("copy_url")} />`,
  },
  {
    key: "state",
    width: "104px",
    rank: 1,
    cell: (proxy) => html`<${Badge} state=${proxy.status.state} title=${proxy.status.reason} />`,
  },
  { key: "name", width: "minmax(64px, .8fr)", sort: "name", cell: (proxy) => proxy.name ?? "" },
  {
    key: "node",
    width: "minmax(70px, .8fr)",
    cell: (proxy) => html`<a href=${link(`/nodes/${proxy.node_id}`)}>${nameOf("nodes", proxy.node_id)}</a>`,
  },
  {
    key: "location",
    width: "minmax(70px, .8fr)",
    extra: true,
    cell: (proxy) => (proxy.location_id ? nameOf("locations", proxy.location_id) : ""),
  },
  {
    key: "labels",
    width: "minmax(150px, 1.4fr)",
    cell: (proxy) => html`<${Labels} labels=${proxy.labels} path="/proxies" />`,
  },
  { key: "protocol", width: "70px", extra: true, cell: (proxy) => proxy.protocol },
  { key: "connections", width: "84px", end: true, cell: (proxy) => number(proxy.status.connections) },
  {
    key: "rate",
    width: "84px",
    end: true,
    rank: 3,
    cell: (proxy) => speed(proxy.usage?.now && proxy.usage.now.rx_bps + proxy.usage.now.tx_bps),
  },
  { key: "quota", width: "84px", rank: 3, cell: quota },
  {
    key: "expires",
    width: "76px",
    rank: 3,
    sort: "expires_at",
    cell: (proxy) => (proxy.limits.expires_at ? ago(proxy.limits.expires_at) : ""),
  },
  { key: "version", width: "80px", end: true, extra: true, cell: versions },
  {
    key: "stack",
    width: "minmax(80px, 1fr)",
    extra: true,
    cell: (proxy) =>
      proxy.stack_id ? html`<a href=${link(`/stacks/${proxy.stack_id}`)}>${nameOf("stacks", proxy.stack_id)}</a>` : "",
  },
  {
    key: "username",
    width: "minmax(80px, 1fr)",
    extra: true,
    cell: (proxy) => html`<span class="mono">${proxy.username ?? ""}</span>`,
  },
  { key: "exit", width: "minmax(90px, 1fr)", extra: true, cell: (proxy) => proxy.exit.address ?? proxy.exit.mode },
  { key: "rotates", width: "100px", extra: true, cell: (proxy) => (proxy.rotation ? ago(proxy.rotation.next_at) : "") },
  { key: "last_check", width: "90px", extra: true, cell: check },
  { key: "engine", width: "80px", extra: true, cell: (proxy) => proxy.engine },
  { key: "created", width: "110px", extra: true, sort: "created_at", cell: (proxy) => ago(proxy.created_at) },
  { key: "updated", width: "110px", extra: true, sort: "updated_at", cell: (proxy) => ago(proxy.updated_at) },
];
