// Who was it: the proxy and the customer that had an address at a time, for complaints, on one page to print.
import { endpointOf, keptAt } from "../endpoint.js";
import { day, time } from "../format.js";
import { nameOf } from "../names.js";
import { CopyCurl } from "../parts/elements/copy.js";
import { Empty, Waiting } from "../parts/elements/notice.js";
import { instant, localTime } from "../parts/elements/when.js";
import { Holder } from "../parts/events/holder.js";
import { Page } from "../parts/shell/screen.js";
import { route, setQuery } from "../router.js";
import { useRead } from "../store.js";
import { html, useMemo, useState } from "../view.js";
import { t } from "../words.js";

const MOST = 10;
const DAY_MS = 86_400_000;
/** The clocks of the browser and the master may differ. */
const SLACK_MS = 60_000;

export default function Lookup() {
  const { ip, port, at } = /** @type {Record<string, string>} */ (route.value.query);
  const asked = useMemo(() => new Date().toISOString().replace(/\.\d+Z/, "Z"), [ip, port, at]);
  const call = { method: "GET", path: "/lookup", query: { ip, port, at: at ?? asked, limit: MOST } };
  const actions =
    ip &&
    html`<${CopyCurl} call=${call} /><button type="button" onClick=${() => print()}>${t("lookup.print")}</button>`;
  return html`<${Page} title=${t("nav./lookup")} actions=${actions}>
    <${Question} key=${[ip, port, at].join()} ip=${ip} port=${port} at=${at} />
    ${ip ? html`<${Answer} query=${call.query} />` : html`<${Empty} title=${t("lookup.what")}><p>${t("lookup.what_text")}</p><//>`}
  <//>`;
}

/** @param {{ip?: string, port?: string, at?: string}} props */
function Question({ ip = "", port = "", at }) {
  const [typed, setTyped] = useState({ ip, port, at: localTime(at) });
  const change = (/** @type {Partial<typeof typed>} */ part) => setTyped({ ...typed, ...part });
  const ask = (/** @type {Event} */ event) => {
    event.preventDefault();
    const { ip: address, port: own } = endpointOf(typed.ip);
    setQuery({ ip: address, port: own ?? (typed.port || null), at: instant(typed.at) });
  };
  const text = (/** @type {any} */ event) => event.target.value;
  return html`<form class="ask" onSubmit=${ask}>
    <div class="field"><label for="ask-ip">${t("lookup.ip")}</label><input id="ask-ip" type="text" class="mono" required autocomplete="off" spellcheck=${false} placeholder="203.0.113.7:20000" value=${typed.ip} onInput=${(/** @type {any} */ event) => change({ ip: text(event) })} /></div>
    <div class="field"><label for="ask-port">${t("lookup.port")}</label><input id="ask-port" type="number" min="1" max="65535" value=${typed.port} onInput=${(/** @type {any} */ event) => change({ port: text(event) })} /></div>
    <div class="field"><label for="ask-at">${t("lookup.at", { zone: Intl.DateTimeFormat().resolvedOptions().timeZone })}</label><input id="ask-at" type="datetime-local" step="1" value=${typed.at} onInput=${(/** @type {any} */ event) => change({ at: text(event) })} /></div>
    <button type="submit" class="primary">${t("lookup.find")}</button>
  </form>`;
}

/** @param {{query: {ip: string, port?: string, at: string, limit: number}}} props */
function Answer({ query }) {
  const read = useRead("/lookup", query);
  const system = useRead("/system");
  const kept = useRead("/events", { after: 1, limit: 1 });
  if (!read.data || !system.data) return html`<${Waiting} read=${read.data ? system : read} />`;
  const { items, drawn, next, at } = read.data;
  const oldest = kept.data?.reset === "forgotten" ? kept.data.items[0]?.at : undefined;
  const days = system.data.retention.history_days;
  const now = Date.parse(system.data.time);
  const reach = keptAt(Date.parse(at) - SLACK_MS, now, days);
  const nobody = reach === "forgotten" ? "lookup.unknown" : query.port ? "lookup.nobody" : "lookup.nobody_exit";
  const all = [...items, ...drawn.flatMap((/** @type {any} */ one) => one.proxies)];
  return html`<p class="asked"><b class="mono">${query.port ? `${query.ip}:${query.port}` : query.ip}</b> <span>${time(at)}</span> <small>${new Date(at).toISOString().replace(".000Z", "Z")}</small></p>
    ${reach !== "kept" && html`<div class="notice warn" role="status"><p>${t(`lookup.outside.${reach}`, { day: day(now - days * DAY_MS), n: days })}</p></div>`}
    ${drawn.map((/** @type {any} */ one) => html`<p key=${one.node_id} class="hint">${t("lookup.drawn", { node: nameOf("nodes", one.node_id), prefix: one.prefix, n: one.connection })}</p>`)}
    ${next && html`<div class="notice warn"><p>${t("lookup.more", { n: MOST })}</p></div>`}
    ${
      all.length === 0
        ? html`<${Empty} title=${t(nobody)}>${reach !== "forgotten" && html`<p>${t(query.port ? "lookup.nobody_text" : "lookup.nobody_exit_text")}</p>`}<//>`
        : html`<div class="pile">${all.map((one) => html`<${Holder} key=${`${one.proxy_id} ${one.since}`} holder=${one} at=${at} oldest=${oldest} />`)}</div>`
    }
    <p class="hint print-only">${t("lookup.printed", { time: time(read.at), cluster: system.data.cluster })}</p>`;
}
