// What is done to nodes: to the selected ones, one call for each.
import { prepared, run } from "../../api.js";
import { announce } from "../../changes.js";
import { named } from "../../names.js";
import { labelsOf } from "../../schema.js";
import { count, has, NOTHING } from "../../selection.js";
import { problemOf } from "../../store.js";
import { html, useState } from "../../view.js";
import { t } from "../../words.js";
import { CopyCurl } from "../elements/copy.js";
import { Dialog } from "../elements/dialog.js";
import { problemText } from "../elements/notice.js";
import { toast } from "../elements/toast.js";

/** @typedef {{key: string, method: string, path: (node: any) => string, body?: any, needs?: "labels" | "location"}} Action */

/** @type {Action[]} */
export const ACTIONS = [
  { key: "drain", method: "PATCH", path: (node) => `/nodes/${node.id}`, body: { state: "draining" } },
  { key: "move", method: "PATCH", path: (node) => `/nodes/${node.id}`, body: { state: "draining", move: true } },
  { key: "activate", method: "PATCH", path: (node) => `/nodes/${node.id}`, body: { state: "active" } },
  { key: "label", method: "PATCH", path: (node) => `/nodes/${node.id}`, needs: "labels" },
  { key: "locate", method: "PATCH", path: (node) => `/nodes/${node.id}`, needs: "location" },
  { key: "sync", method: "POST", path: (node) => `/nodes/${node.id}/sync`, body: {} },
];

/** @param {{list: import("../../list.js").List, selection: import("@preact/signals").Signal<import("../../selection.js").Selection>}} props */
export function NodeActions({ list, selection }) {
  const [action, setAction] = useState(/** @type {Action | null} */ (null));
  const { rows, total } = list.state.value;
  const n = count(selection.value, total) ?? 0;
  if (n === 0) return null;
  const chosen = rows.filter((row) => has(selection.value, row.id));
  return html`<div class="selection-bar" role="region" aria-label=${t("selection")}>
    <b>${t("selected", { n })}</b>
    ${ACTIONS.map((one) => html`<button type="button" key=${one.key} onClick=${() => setAction(one)}>${t(`node.${one.key}`)}</button>`)}
    <span class="gap" />
    <button type="button" class="quiet" onClick=${() => {
      selection.value = NOTHING;
    }}>${t("deselect")}</button>
    ${action && html`<${NodesDialog} action=${action} nodes=${chosen} onClose=${() => setAction(null)} />`}
  </div>`;
}

/** @param {{action: Action, nodes: any[], onClose: () => void}} props */
export function NodesDialog({ action, nodes, onClose }) {
  const [given, setGiven] = useState("");
  const [done, setDone] = useState(/** @type {Record<number, string>} */ ({}));
  const [isBusy, setBusy] = useState(false);
  const body =
    action.needs === "labels"
      ? { labels: labelsOf(given) }
      : action.needs === "location"
        ? { location_id: Number(given) || null }
        : action.body;
  const call = (/** @type {any} */ node) => ({ method: action.method, path: action.path(node), body });
  const commit = async () => {
    setBusy(true);
    const outcome = await each(nodes, call);
    setDone(outcome);
    setBusy(false);
    announce("nodes");
    if (Object.keys(outcome).length > 0) return;
    toast(t("node.done", { n: nodes.length }), { call: prepared(call(nodes[0])) });
    onClose();
  };
  const actions = html`<${CopyCurl} call=${call(nodes[0])} /><span class="gap" />
    <button type="button" onClick=${onClose}>${t("cancel")}</button>
    <button type="button" class="primary" disabled=${isBusy || (action.needs && !given)} onClick=${commit}>${t(`node.${action.key}`)}</button>`;
  return html`<${Dialog} title=${t(`node.${action.key}_title`, { n: nodes.length })} onClose=${onClose} actions=${actions}>
    <p>${t(`node.${action.key}_text`)}</p>
    ${
      action.needs &&
      html`<div class="field given"><label for="given">${t(`node.${action.needs}`)}</label>${
        action.needs === "labels"
          ? html`<textarea id="given" rows="2" placeholder="tier:gold" value=${given} onInput=${(/** @type {any} */ event) => setGiven(event.target.value)}></textarea>`
          : html`<select id="given" value=${given} onChange=${(/** @type {any} */ event) => setGiven(event.target.value)}>
            <option value="">–</option>${[...named("locations").values()].map((one) => html`<option value=${one.id} key=${one.id}>${one.name}</option>`)}</select>`
      }</div>`
    }
    <ul class="outcomes">${nodes.map(
      (node) =>
        html`<li key=${node.id}><b>${node.name}</b> ${done[node.id] ? html`<span class="error">${done[node.id]}</span>` : null}</li>`,
    )}</ul>
  <//>`;
}

/**
 * Makes the same call for each node.
 * @param {any[]} nodes
 * @param {(node: any) => import("../../curl.js").Call} call
 * @returns {Promise<Record<number, string>>} why it failed, by id
 */
export async function each(nodes, call) {
  /** @type {Record<number, string>} */
  const failed = {};
  for (const node of nodes) {
    await run(prepared(call(node))).catch((error) => {
      failed[node.id] = problemText(problemOf(error));
    });
  }
  return failed;
}
