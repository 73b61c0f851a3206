// Usage: bytes over time by location, node, stack, customer or proxy, who used most, and what was refused.
import { filterOf } from "../filter.js";
import { bytes, number, percent, time, utcDay } from "../format.js";
import { named } from "../names.js";
import { CopyCurl } from "../parts/elements/copy.js";
import { Meter } from "../parts/elements/meter.js";
import { Empty, Stale, Waiting } from "../parts/elements/notice.js";
import { Page } from "../parts/shell/screen.js";
import { FilterBar } from "../parts/table/filterbar.js";
import { UsageStack } from "../parts/usage/by_group.js";
import { customerLabel } from "../prefs.js";
import { link, route, setQuery } from "../router.js";
import { bytesOf, SPANS, spanOf } from "../spans.js";
import { useRead } from "../store.js";
import { GROUPS } from "../usage_groups.js";
import { html } from "../view.js";
import { isWord, t } from "../words.js";

const TOP = 20;
const names = (/** @type {"nodes" | "stacks" | "locations"} */ kind) =>
  [...named(kind).values()].map((one) => one.name).filter(Boolean);

export default function Usage() {
  const query = route.value.query;
  const filter = filterOf(query);
  const by = String(query.by ?? "location") in GROUPS ? String(query.by ?? "location") : "location";
  const name = filter.from || filter.to ? "" : String(query.span ?? "month");
  const span = spanOf(name, Date.now(), filter);
  const period = { from: iso(span.from), to: iso(span.to) };
  const base = { ...filter, ...period };
  const group = GROUPS[by];
  const call = { method: "GET", path: "/usage", query: { ...base, by: group.by(), sort: "-bytes", limit: 1000 } };
  const sum = useRead("/usage", base, { every: 60 });
  const groups = useRead("/usage", call.query, { every: 60 });
  const total = sum.data?.items[0];
  const values = { node: names("nodes"), stack: names("stacks"), location: names("locations") };
  const label = `${t("nav./usage")}, ${t(`usage.by.${by}`)}: ${bytes(total && bytesOf(total))}`;
  return html`<${Page} title=${t("nav./usage")} actions=${html`<${CopyCurl} call=${call} />`} lead=${periodText(span)}>
    <${FilterBar} path="/usage" name="usage" values=${values} bare=${() => "label"} hint=${t("usage.filter_hint")} />
    <div class="bar">${SPANS.map((one) => html`<button type="button" class="quiet" key=${one} aria-pressed=${one === name} onClick=${() => setQuery({ ...query, from: null, to: null, span: one })}>${t(`span.${one}`)}</button>`)}</div>
    <${Stale} read=${groups.problem ? groups : sum} />
    <div class="panels">
      <section class="panel"><div class="panel-head"><h2>${t("usage.over_time")}</h2>
          <select aria-label=${t("usage.group")} value=${by} onChange=${(/** @type {any} */ event) => setQuery({ ...query, by: event.target.value })}>${Object.keys(GROUPS).map((one) => html`<option value=${one} key=${one}>${t(`usage.by.${one}`)}</option>`)}</select></div>
        ${total && html`<${Figures} total=${total} />`}
        ${groups.data && sum.data ? (total ? html`<${UsageStack} filter=${base} span=${span} group=${group} items=${groups.data.items} label=${label} />` : html`<${Empty} title=${t("usage.none")} />`) : html`<${Waiting} read=${groups.problem ? groups : sum} />`}
      </section>
      ${
        total &&
        groups.data &&
        html`<div class="pile"><section class="panel"><h2>${t(`usage.by.${by}`)}</h2><${Groups} by=${by} items=${groups.data.items} whole=${bytesOf(total)} /></section>
        ${by !== "customer" && html`<${Refused} refused=${total.refused} />`}</div>
      <div class="pile">${by === "customer" ? html`<${Refused} refused=${total.refused} />` : html`<${Customers} base=${base} whole=${bytesOf(total)} />`}</div>`
      }
    </div>
  <//>`;
}

/** @param {import("../spans.js").Span} span */
const periodText = ({ by, from, to }) =>
  by === "day"
    ? t("usage.days", { from: utcDay(from * 1000), to: utcDay(to * 1000 - 1) })
    : `${time(from * 1000)} – ${time(to * 1000)}`;

/** @param {number} seconds */
const iso = (seconds) => new Date(seconds * 1000).toISOString().replace(".000Z", "Z");

/** @param {{total: any}} props */
function Figures({ total }) {
  const refused = Object.values(total.refused).reduce((all, one) => all + one, 0);
  const figures = [
    [bytes(bytesOf(total)), t("sum")],
    [bytes(total.received_bytes), t("received")],
    [bytes(total.sent_bytes), t("sent")],
    [number(total.connections), t("usage.connections")],
    [number(refused), t("usage.refused_count")],
  ];
  return html`<div class="totals">${figures.map(([value, words_]) => html`<p class="figure" key=${words_}><b>${value}</b> <span>${words_}</span></p>`)}</div>`;
}

/** The groups with the most bytes. @param {{by: string, items: any[], whole: number}} props */
function Groups({ by, items, whole }) {
  const group = GROUPS[by];
  const query = route.value.query;
  const rows = items.slice(0, TOP);
  const left = items.slice(TOP).reduce((sum, one) => sum + bytesOf(one), 0);
  return html`<div class="scrolls"><table class="plain ranks"><thead><tr><th>${t(`usage.group.${by}`)}</th><th class="end">${t("received")}</th><th class="end">${t("sent")}</th><th class="end">${t("usage.connections")}</th><th>${t("usage.share")}</th></tr></thead>
    <tbody>${rows.map((one) => {
      const id = group.idOf(one);
      const share = whole ? bytesOf(one) / whole : 0;
      return html`<tr key=${id}><td>${id === null ? html`<span class="muted">${t(`usage.without.${by}`)}</span>` : html`<a href=${by === "proxy" ? link(`/proxies/${id}`) : link("/usage", { ...group.only(id, query), by: by === "location" ? "node" : "proxy" })}>${group.nameOf(one)}</a>`}</td>
        <td class="end">${bytes(one.received_bytes)}</td><td class="end">${bytes(one.sent_bytes)}</td><td class="end">${number(one.connections)}</td>
        <td class="share"><${Share} share=${share} /></td></tr>`;
    })}</tbody></table></div>
    ${items.length > TOP && html`<p class="hint">${t("usage.left", { n: items.length - TOP, shown: number(items.length - TOP), bytes: bytes(left) })}</p>`}`;
}

/** A share of a whole, which is no limit. @param {{share: number}} props */
const Share = ({ share }) => html`<${Meter} share=${share} plain words=${percent(share)} />`;

/** @param {{base: import("../query.js").Query, whole: number}} props */
function Customers({ base, whole }) {
  const read = useRead("/usage", { ...base, by: GROUPS.customer.by(), sort: "-bytes", limit: 1000 }, { every: 60 });
  const isUsed = read.data?.items.some((/** @type {any} */ one) => GROUPS.customer.idOf(one) !== null);
  return html`<section class="panel"><h2>${t("usage.customers")}</h2>
    ${read.data ? (isUsed ? html`<${Groups} by="customer" items=${read.data.items} whole=${whole} />` : html`<p class="muted">${t("usage.no_customer", { label: customerLabel.value })}</p>`) : html`<${Waiting} read=${read} />`}</section>`;
}

/** Refused connections by reason. @param {{refused: Record<string, number>}} props */
function Refused({ refused }) {
  const all = Object.entries(refused).sort(([, one], [, other]) => other - one);
  const sum = all.reduce((total, [, count]) => total + count, 0);
  return html`<section class="panel"><h2>${t("usage.refused")}</h2>
    ${
      all.length
        ? html`<table class="plain ranks"><thead><tr><th>${t("reason")}</th><th class="end">${t("usage.connections")}</th><th>${t("usage.share")}</th></tr></thead><tbody>${all.map(
            ([reason, count]) =>
              html`<tr key=${reason}><td><code>${reason}</code>${isWord(`refused.${reason}`) && html` <small>${t(`refused.${reason}`)}</small>`}</td><td class="end">${number(count)}</td><td class="share"><${Share} share=${count / sum} /></td></tr>`,
          )}</tbody></table>`
        : html`<p class="muted">${t("usage.refused_none")}</p>`
    }</section>`;
}
