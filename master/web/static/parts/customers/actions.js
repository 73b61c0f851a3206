// What is done to customers: to all proxies that the filter shows of each, one call for each.
import { ago } from "../../format.js";
import { count, NOTHING } from "../../selection.js";
import { html, useState } from "../../view.js";
import { t } from "../../words.js";
import { Menu } from "../elements/menu.js";
import { Fields } from "../forms/form.js";
import { RehearseEach } from "../forms/rehearse_each.js";
import { ExportMenu } from "../table/export.js";
import { NewLinkDialog } from "./link_dialog.js";

/** @typedef {import("../../query.js").Query} Query */
/** @typedef {import("../../customers.js").Customer} Customer */

const DAYS = [7, 30, 90];
const DAY_MS = 86_400_000;
const PATCH = { method: "PATCH", path: "/proxies" };

/** @type {Record<string, {method: string, path: string, body?: any, dry?: boolean, fields?: string[], danger?: boolean}>} */
const ACTIONS = {
  suspend: { ...PATCH, body: { enabled: false } },
  resume: { ...PATCH, body: { enabled: true } },
  extend: { ...PATCH, body: {} },
  rotate: {
    method: "POST",
    path: "/proxies/rotate",
    body: { what: ["credentials"] },
    dry: false,
    fields: ["what", "overlap_s"],
  },
  release: { ...PATCH, body: {} },
  delete: { method: "DELETE", path: "/proxies", danger: true },
};
const IN_SIGHT = 4;

/**
 * @param {{list: any, selection: import("@preact/signals").Signal<import("../../selection.js").Selection>, label: string, filterOf: (one: Customer) => Query}} props
 *     `label`: the key of the label. `filterOf`: the proxies of a customer
 */
export function CustomerActions({ list, selection, label, filterOf }) {
  const [action, setAction] = useState(/** @type {string | null} */ (null));
  const chosen = list.state.value.rows.filter((/** @type {Customer} */ one) => selection.value.ids.has(one.id));
  if (count(selection.value, null) === 0 || chosen.length === 0) return null;
  const clear = () => {
    selection.value = NOTHING;
  };
  const close = () => setAction(null);
  const button = (/** @type {string} */ key) =>
    html`<button type="button" key=${key} class=${ACTIONS[key].danger ? "bad" : ""} onClick=${() => setAction(key)}>${t(`customers.${key}`)}</button>`;
  const keys = Object.keys(ACTIONS);
  const [only] = chosen;
  return html`<div class="selection-bar" role="region" aria-label=${t("selection")}>
    <b>${t("selected", { n: chosen.length })}</b>
    ${keys.slice(0, IN_SIGHT).map(button)}
    ${chosen.length === 1 && html`<${ExportMenu} filter=${filterOf(only)} /><button type="button" onClick=${() => setAction("link")}>${t("customers.link")}</button>`}
    <${Menu} label=${t("more")} align="left">${keys.slice(IN_SIGHT).map(button)}<//>
    <span class="gap" /><button type="button" class="quiet" onClick=${clear}>${t("deselect")}</button>
    ${action === "link" && html`<${NewLinkDialog} title=${t("customers.link_title", { customer: only.customer })} body=${{ kind: "list", filter: filterOf(only) }} onClose=${close} />`}
    ${action && action in ACTIONS && html`<${CustomersDialog} name=${action} label=${label} customers=${chosen} filterOf=${filterOf} onClose=${close} />`}
  </div>`;
}

/** @param {{name: string, label: string, customers: Customer[], filterOf: (one: Customer) => Query, onClose: () => void}} props */
function CustomersDialog({ name, label, customers, filterOf, onClose }) {
  const { method, path, body: initial, dry = true, fields, danger } = ACTIONS[name];
  const [body, setBody] = useState(name === "release" ? { labels: { [label]: null } } : initial);
  const call = (/** @type {Customer} */ one) => ({ method, path, query: filterOf(one), ...(body ? { body } : {}) });
  const isReady = name !== "extend" || body.limits !== undefined;
  const who = customers.length === 1 ? t("customers.one", { customer: customers[0].customer }) : "";
  return html`<${RehearseEach} title=${`${t(`customers.${name}_title`, { n: customers.length })}${who}`} items=${customers} name=${(/** @type {Customer} */ one) => one.customer}
    call=${call} kind="proxies" dry=${dry} ready=${isReady} action=${t(`customers.${name}`)} danger=${danger} done=${t("customers.done", { n: customers.length })} onClose=${onClose}>
    ${(/** @type {any} */ problem) => html`<p class="explained">${t(`customers.${name}_text`, { label })}</p>
      ${fields && html`<div class="form"><${Fields} schema="RotateRequest" only=${fields} body=${body} onChange=${setBody} problem=${problem} /></div>`}
      ${name === "extend" && html`<${Until} body=${body} setBody=${setBody} latest=${customers.length === 1 ? customers[0].expires_at : null} />`}`}
  <//>`;
}

/** When the proxies expire. @param {{body: any, setBody: (body: any) => void, latest: string | null}} props */
function Until({ body, setBody, latest }) {
  const set = (/** @type {string | null} */ at) => setBody({ limits: { expires_at: at } });
  const start = Math.max(Date.now(), latest ? Date.parse(latest) : 0);
  const later = (/** @type {number} */ days) => new Date(start + days * DAY_MS).toISOString();
  return html`<p class="muted">${latest ? t("customers.expires_now", { ago: ago(latest) }) : ""}</p>
    <div class="form-actions">${DAYS.map((days) => html`<button type="button" key=${days} onClick=${() => set(later(days))}>${t("customers.days", { n: days })}</button>`)}
      <button type="button" aria-pressed=${body.limits?.expires_at === null} onClick=${() => set(null)}>${t("customers.forever")}</button></div>
    <div class="form given"><${Fields} schema="LimitOptions" only=${["expires_at"]} body=${body.limits ?? {}} onChange=${(/** @type {any} */ limits) => set(limits.expires_at ?? null)} /></div>`;
}
