// Writes of one or several stacks, each tried out first.
import { announce } from "../../changes.js";
import { number } from "../../format.js";
import { named } from "../../names.js";
import { classes, html, useState } from "../../view.js";
import { t } from "../../words.js";
import { Fields } from "../forms/form.js";
import { Rehearsal } from "../forms/rehearsal.js";
import { RehearseEach } from "../forms/rehearse_each.js";
import { ACTIONS, FleetDialog } from "../proxies/actions.js";

const MOST = 10_000;
/** Done to all proxies of the stacks in one call. */
export const OF_PROXIES = ["rotate", "check"];
/** Done to the stacks: their templates and their proxies. @type {Record<string, {method: string, body?: any, danger?: boolean}>} */
const OF_STACKS = {
  enable: { method: "PATCH", body: { proxy: { enabled: true } } },
  disable: { method: "PATCH", body: { proxy: { enabled: false } } },
  delete: { method: "DELETE", danger: true },
};

/** @param {{name: string, stacks: any[], onClose: () => void, onDone?: () => void}} props `name`: scale, edit, rotate, check, enable, disable or delete */
export function StackDialog({ name, stacks, onClose, onDone }) {
  if (name === "scale") return html`<${Scale} stack=${stacks[0]} onClose=${onClose} />`;
  if (name === "edit") return html`<${Edit} stack=${stacks[0]} onClose=${onClose} />`;
  const bulk = ACTIONS.find((one) => one.key === name);
  if (bulk && OF_PROXIES.includes(name))
    return html`<${FleetDialog} action=${bulk} query=${{ stack_id: stacks.map((one) => one.id) }} onClose=${onClose} />`;
  const { method, body, danger } = OF_STACKS[name];
  const call = (/** @type {any} */ { id, version }) => ({
    method,
    path: `/stacks/${id}`,
    version,
    ...(body ? { body } : {}),
  });
  const [only] = stacks;
  return html`<${RehearseEach} title=${stacks.length === 1 ? `${t(`stacks.${name}`)}: ${only.name}` : t(`stacks.${name}_title`, { n: stacks.length })} items=${stacks}
    name=${(/** @type {any} */ one) => one.name} call=${call} kind="stacks" expects=${false} danger=${danger} action=${t(`stacks.${name}`)} done=${t("saved")} onClose=${onClose} onDone=${onDone}>
    <p class="explained">${t(`stacks.${name}_text`)}</p>
  <//>`;
}

/** @param {{stack: any, onClose: () => void}} props */
function Scale({ stack, onClose }) {
  const [count, setCount] = useState(stack.count);
  const call = { method: "PATCH", path: `/stacks/${stack.id}`, body: { count }, version: stack.version };
  return html`<${Rehearsal} title=${t("stacks.scale_title", { name: stack.name })} call=${call} expects=${false} ready=${count !== stack.count} danger=${count < stack.count}
    action=${t("stacks.scale")} done=${() => t("stacks.scaled", { name: stack.name, n: count })} onClose=${onClose} onDone=${() => announce("stacks")}>
    <p class="explained">${t("stacks.scale_text")}</p>
    <div class="form"><div class="field"><label for="count">${t("stacks.scale_to", { n: number(stack.count) })}</label>
      <input id="count" type="number" min="0" max=${MOST} value=${count} onInput=${(/** @type {any} */ event) => event.target.value !== "" && setCount(Number(event.target.value))} /></div></div>
  <//>`;
}

/** Things of a kind to choose by their names. @param {"nodes" | "locations"} kind */
const chosenOf =
  (kind) =>
  (/** @type {{id: string, value: any, set: (value: any) => void}} */ { id, value, set }) => {
    const ids = new Set(value ?? []);
    const toggle = (/** @type {number} */ one) => {
      const next = ids.has(one) ? [...ids].filter((other) => other !== one) : [...ids, one];
      set(next.length ? next : undefined);
    };
    return html`<div class="choices" role="group" id=${id} aria-label=${t(`nav./${kind}`)}>${[
      ...named(kind).values(),
    ].map(
      (one) =>
        html`<label class=${classes("choice", ids.has(one.id) && "chosen")} key=${one.id}><input type="checkbox" checked=${ids.has(one.id)} onChange=${() => toggle(one.id)} />${one.name}</label>`,
    )}</div>`;
  };

/** Places are chosen by name; the other ways in which the API takes them are left out. */
const INPUTS = {
  "/proxy/location_ids": chosenOf("locations"),
  "/proxy/node_ids": chosenOf("nodes"),
  "/proxy/location_id": null,
  "/proxy/location": null,
  "/proxy/locations": null,
  "/proxy/nodes": null,
};

/** @param {{stack: any, onClose: () => void}} props */
function Edit({ stack, onClose }) {
  const [body, setBody] = useState(/** @type {any} */ ({}));
  const call = { method: "PATCH", path: `/stacks/${stack.id}`, body, version: stack.version };
  return html`<${Rehearsal} title=${`${t("edit")}: ${stack.name}`} call=${call} expects=${false} ready=${Object.keys(body).length > 0} action=${t("save")} done=${() => t("saved")}
    onClose=${onClose} onDone=${() => announce("stacks")}>
    ${(/** @type {any} */ problem) => html`<p class="explained">${t("stacks.edit_text")}</p>
      <div class="form"><${Fields} schema="StackPatch" only=${["name", "spread", "labels", "proxy"]} body=${body} current=${stack} onChange=${setBody} problem=${problem} inputs=${INPUTS} /></div>`}
  <//>`;
}
