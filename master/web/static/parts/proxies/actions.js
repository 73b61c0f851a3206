// What is done to many proxies at once: the selected rows, or everything that the filter matches.
import { asFilter, count, everything, MOST_IDS, NOTHING } from "../../selection.js";
import { html, useState } from "../../view.js";
import { t } from "../../words.js";
import { Menu } from "../elements/menu.js";
import { Fields } from "../forms/form.js";
import { Rehearsal } from "../forms/rehearsal.js";
import { FleetCheck } from "./fleet_check.js";

/** @typedef {import("../../query.js").Query} Query */
/**
 * @typedef {object} Action
 * @property {string} key
 * @property {"PATCH" | "DELETE" | "POST"} method
 * @property {string} [path]
 * @property {any} [body] what is sent, or where a form begins
 * @property {string[]} [fields] members that are asked for
 * @property {boolean} [dry]
 */

/** @type {Action[]} */
export const ACTIONS = [
  {
    key: "change",
    method: "PATCH",
    body: {},
    fields: [
      ...["limits", "allow_ips", "exit", "destinations", "rotation"],
      ...["protocol", "tls", "username", "password", "engine"],
    ],
  },
  { key: "label", method: "PATCH", body: {}, fields: ["labels"] },
  {
    key: "rotate",
    method: "POST",
    path: "/proxies/rotate",
    body: { what: ["credentials"] },
    fields: ["what", "overlap_s"],
    dry: false,
  },
  { key: "check", method: "POST", path: "/proxies/check", body: {}, dry: false },
  { key: "enable", method: "PATCH", body: { enabled: true } },
  { key: "disable", method: "PATCH", body: { enabled: false } },
  {
    key: "move",
    method: "POST",
    path: "/proxies/rotate",
    body: { what: ["node"] },
    fields: ["node_ids", "overlap_s"],
    dry: false,
  },
  { key: "delete", method: "DELETE" },
];
const IN_SIGHT = 5;
const SCHEMAS = { PATCH: "FleetPatch", POST: "RotateRequest", DELETE: "" };

/** @param {{list: import("../../list.js").List, selection: import("@preact/signals").Signal<import("../../selection.js").Selection>, filter: Query}} props */
export function ProxyActions({ list, selection, filter }) {
  const [action, setAction] = useState(/** @type {Action | null} */ (null));
  const { total } = list.state.value;
  const n = count(selection.value, total) ?? 0;
  if (n === 0 && !selection.value.isAll) return null;
  const isTooMany = !selection.value.isAll && n > MOST_IDS;
  const clear = () => {
    selection.value = NOTHING;
  };
  const button = (/** @type {Action} */ one) =>
    html`<button type="button" key=${one.key} class=${one.key === "delete" ? "bad" : ""} disabled=${isTooMany} onClick=${() => setAction(one)}>${t(`proxies.${one.key}`)}</button>`;
  return html`<div class="selection-bar" role="region" aria-label=${t("selection")}>
    <b>${t(selection.value.isAll ? "selected_all" : "selected", { n })}</b>
    ${ACTIONS.slice(0, IN_SIGHT).map(button)}
    <${Menu} label=${t("more")} align="left">${ACTIONS.slice(IN_SIGHT).map(button)}<//>
    <span class="gap" />
    ${isTooMany && html`<span class="muted">${t("too_many", { most: MOST_IDS })}</span>`}
    ${
      !selection.value.isAll &&
      total !== null &&
      total > n &&
      html`<button type="button" class="quiet" onClick=${() => {
        selection.value = everything();
      }}>${t("select_all", { n: total })}</button>`
    }
    <button type="button" class="quiet" onClick=${clear}>${t("deselect")}</button>
    ${action && html`<${FleetDialog} action=${action} query=${asFilter(selection.value, filter)} onClose=${() => setAction(null)} onDone=${clear} />`}
  </div>`;
}

/** @param {{action: Action, query: Query, onClose: () => void, onDone?: () => void}} props */
export function FleetDialog({ action, query, onClose, onDone }) {
  const [body, setBody] = useState(action.body);
  const { key, method, path = "/proxies", fields, dry = true } = action;
  const title = t(`proxies.${key}_title`);
  const call = { method, path, query, ...(body === undefined ? {} : { body }) };
  if (key === "check") return html`<${FleetCheck} title=${title} call=${call} onClose=${onClose} />`;
  const isReady = !fields || Object.keys(body).length > 0;
  return html`<${Rehearsal} title=${title} call=${call} dry=${dry} ready=${isReady} danger=${key === "delete"} action=${t(`proxies.${key}`)}
    done=${(/** @type {any} */ answer, /** @type {number} */ n) => t("proxies.done", { n: answer?.matched ?? n })} onClose=${onClose}
    onDone=${key === "delete" ? onDone : undefined}>
    ${(/** @type {any} */ problem) => html`<p class="explained">${t(`proxies.${key}_text`)}</p>
      ${fields && html`<div class="form"><${Fields} schema=${SCHEMAS[method]} only=${fields} body=${body} onChange=${setBody} problem=${problem} /></div>`}`}
  <//>`;
}
