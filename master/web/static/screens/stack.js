// One stack: its proxies, how they are spread, its template as JSON, usage and events.
import { get } from "../api.js";
import { curl } from "../curl.js";
import { filterOf } from "../filter.js";
import { ago, number, time } from "../format.js";
import { useList } from "../list.js";
import { named, nameOf } from "../names.js";
import { CopyButton } from "../parts/elements/copy.js";
import { Labels } from "../parts/elements/labels.js";
import { Stale, Waiting } from "../parts/elements/notice.js";
import { PROXY_STATES, StateBar, StateLinks, tallied } from "../parts/elements/states.js";
import { Tabs } from "../parts/elements/tabs.js";
import { EventList } from "../parts/events/event_list.js";
import { ProxyActions } from "../parts/proxies/actions.js";
import { COLUMNS, copyUrl } from "../parts/proxies/columns.js";
import { Page } from "../parts/shell/screen.js";
import { StackMenu } from "../parts/stacks/actions.js";
import { FilterBar } from "../parts/table/filterbar.js";
import { Table, Total } from "../parts/table/table.js";
import { UsageChart } from "../parts/usage/over_time.js";
import { go, link, route, setQuery } from "../router.js";
import { NOTHING } from "../selection.js";
import { putCall, putOf, thereOf } from "../stacks.js";
import { useRead, useResource } from "../store.js";
import { html, signal, useMemo } from "../view.js";
import { t } from "../words.js";

/** @param {{id: string}} props */
export default function StackScreen({ id }) {
  const read = useResource("stacks", id, { secrets: "no" });
  /** @type {import("../resources.d.ts").Stack | undefined} */
  const stack = read.data;
  if (!stack) return html`<${Page} title=${`${t("kind.stack")} ${id}`}><${Waiting} read=${read} /><//>`;
  const there = thereOf(/** @type {any} */ (stack));
  const tabs = [
    { key: "proxies", words: t("nav./proxies"), count: number(there) },
    { key: "spread", words: t("column.spread") },
    { key: "template", words: t("stacks.template") },
    { key: "usage", words: t("usage") },
    { key: "events", words: t("nav./events") },
  ];
  const lead = html`<span class=${there === stack.count ? "" : "badge pending"}>${t("stacks.there", { wanted: stack.count, there })}</span>
    <span title=${time(stack.updated_at)}>${t("stacks.changed", { ago: ago(stack.updated_at) })}</span>
    ${Object.keys(stack.labels).length > 0 && html`<${Labels} labels=${stack.labels} path="/stacks" />`}`;
  const states = /** @type {any} */ (stack.status);
  return html`<${Page} fills title=${stack.name} lead=${lead} actions=${html`<${StackMenu} stack=${stack} onGone=${() => go("/stacks")} />`}>
    <${Stale} read=${read} />
    <div class="bar"><${StateBar} counts=${states} /><${StateLinks} counts=${states} path="/proxies" query=${{ stack_id: id }} /></div>
    <${Tabs} label=${stack.name} tabs=${tabs} render=${(/** @type {string} */ key) => html`<${Panel} name=${key} stack=${stack} />`} />
  <//>`;
}

/** @param {{name: string, stack: any}} props */
function Panel({ name, stack }) {
  const query = { stack_id: stack.id };
  if (name === "proxies") return html`<${Proxies} stack=${stack} />`;
  if (name === "spread") return html`<${Spread} stack=${stack} />`;
  if (name === "template") return html`<${Template} stack=${stack} />`;
  if (name === "usage") return html`<section class="panel scrolled"><${UsageChart} query=${query} /></section>`;
  return html`<section class="panel scrolled"><${EventList} query=${query} limit=${200} subjects /></section>`;
}

/** @param {{stack: any}} props */
function Proxies({ stack }) {
  const { tab: _, ...query } = route.value.query;
  const filter = { ...filterOf(query), stack_id: stack.id };
  const list = useList("proxies", { ...query, stack_id: stack.id, secrets: "no" }, { counts: true });
  const selection = useMemo(() => signal(NOTHING), [list]);
  const onSort = (/** @type {string} */ sort) => setQuery({ ...query, sort: sort === "id" ? null : sort });
  const offered = { node: [...named("nodes").values()].map((one) => one.name) };
  return html`<div class="filter-line"><${FilterBar} name="proxies" path="/proxies" values=${offered} /><${Total} list=${list} /></div>
    <${ProxyActions} list=${list} selection=${selection} filter=${filter} />
    <${Table} name="stack_proxies" label=${t("nav./proxies")} list=${list} columns=${COLUMNS} selection=${selection} sort=${String(query.sort ?? "id")}
      onSort=${onSort} onOpen=${(/** @type {any} */ one) => go(`/proxies/${one.id}`)} onCopy=${copyUrl} />`;
}

/** The stack's proxies by node and state. @param {{stack: any}} props */
function Spread({ stack }) {
  const query = { stack_id: stack.id, by: "node,state" };
  const read = useRead("/proxies/count", query, { on: ["proxies"], pause: 2000 });
  if (!read.data) return html`<${Waiting} read=${read} />`;
  /** @type {any[]} */
  const items = read.data.items;
  const states = PROXY_STATES.filter((state) => items.some((one) => one.state === state));
  const ids = [...new Set(items.map((one) => one.node_id))].sort((a, b) => a - b);
  return html`<section class="panel scrolled"><p class="explained">${t(`spread.${stack.spread}_text`)}</p>
    <div class="scrolls"><table class="plain matrix"><thead><tr><th>${t("column.node")}</th><th>${t("column.location")}</th>${states.map((one) => html`<th class="end" key=${one}>${t(`state.${one}`)}</th>`)}<th class="end">${t("sum")}</th><td></td></tr></thead>
    <tbody>${ids.map((id) => {
      const own = items.filter((one) => one.node_id === id);
      const counts = tallied(own, "state");
      const filter = { stack_id: stack.id, node_id: id };
      return html`<tr key=${id}><td class="nowrap"><a href=${link(`/nodes/${id}`)}>${nameOf("nodes", id)}</a></td><td>${nameOf("locations", named("nodes").get(id)?.location_id)}</td>
        ${states.map((state) => html`<td class="end" key=${state}>${counts[state] ? html`<a href=${link("/proxies", { ...filter, state })}>${number(counts[state])}</a>` : html`<span class="muted">0</span>`}</td>`)}
        <td class="end"><b>${number(own.reduce((sum, one) => sum + one.count, 0))}</b></td><td class="bar-cell"><${StateBar} counts=${counts} /></td></tr>`;
    })}</tbody></table></div></section>`;
}

/** The stack as JSON. It is shown without a password that its proxies share, and copied with it. @param {{stack: any}} props */
function Template({ stack }) {
  const whole = () => get(`/stacks/${stack.id}`);
  const text = (/** @type {any} */ one) => JSON.stringify(putOf(one), null, 2);
  return html`<section class="panel scrolled"><div class="panel-head"><h2>${t("stacks.put")}</h2>
      <${CopyButton} text=${() => whole().then(text)} label=${t("stacks.copy_json")} words=${t("stacks.copy_json")} />
      <${CopyButton} text=${() => whole().then((one) => curl(putCall(one), location.origin))} label=${t("copy_curl")} icon="terminal" words=${t("copy_curl")} /></div>
    <p class="explained">${t("stacks.put_text")}</p><pre class="command" tabindex="0">${text(stack)}</pre></section>`;
}
