// What is done to locations.
import { NOTHING } from "../../selection.js";
import { html, useState } from "../../view.js";
import { t } from "../../words.js";
import { Fields } from "../forms/form.js";
import { RehearseEach } from "../forms/rehearse_each.js";
import { Write } from "../forms/write.js";
import { Rebalance } from "./rebalance.js";

const FIELDS = ["name", "country", "labels"];

/** @param {{list: any, selection: import("@preact/signals").Signal<import("../../selection.js").Selection>}} props */
export function LocationActions({ list, selection }) {
  const [action, setAction] = useState(/** @type {string | null} */ (null));
  const chosen = list.state.value.rows.filter((/** @type {any} */ row) => selection.value.ids.has(row.id));
  if (chosen.length === 0) return null;
  const clear = () => {
    selection.value = NOTHING;
  };
  const close = () => setAction(null);
  const [only] = chosen;
  const button = (/** @type {string} */ key) =>
    html`<button type="button" key=${key} class=${key === "delete" ? "bad" : ""} onClick=${() => setAction(key)}>${t(`locations.${key}`)}</button>`;
  return html`<div class="selection-bar" role="region" aria-label=${t("selection")}>
    <b>${t("selected", { n: chosen.length })}</b>
    ${(chosen.length === 1 ? ["rebalance", "edit", "label", "delete"] : ["label", "delete"]).map(button)}
    <span class="gap" /><button type="button" class="quiet" onClick=${clear}>${t("deselect")}</button>
    ${action === "rebalance" && html`<${Rebalance} place=${only} onClose=${close} />`}
    ${
      action === "edit" &&
      html`<${Write} title=${t("edit")} call=${{ method: "PATCH", path: `/locations/${only.id}`, body: {} }} schema="LocationPatch" fields=${FIELDS} current=${only} kind="locations"
      action=${t("save")} done=${t("saved")} onClose=${close} />`
    }
    ${(action === "label" || action === "delete") && html`<${Each} name=${action} places=${chosen} onClose=${close} onDone=${action === "delete" ? clear : undefined} />`}
  </div>`;
}

/** One call for each location; the API does not try these out. @param {{name: string, places: any[], onClose: () => void, onDone?: () => void}} props */
function Each({ name, places, onClose, onDone }) {
  const isLabel = name === "label";
  const [body, setBody] = useState(/** @type {any} */ ({}));
  const call = (/** @type {any} */ { id }) => ({
    method: isLabel ? "PATCH" : "DELETE",
    path: `/locations/${id}`,
    ...(isLabel ? { body } : {}),
  });
  return html`<${RehearseEach} title=${places.length === 1 ? `${t(`locations.${name}`)}: ${places[0].name}` : t(`locations.${name}_title`, { n: places.length })} items=${places}
    name=${(/** @type {any} */ one) => one.name} call=${call} kind="locations" expects=${false} dry=${false} ready=${!isLabel || body.labels !== undefined} danger=${!isLabel}
    action=${t(`locations.${name}`)} done=${t("saved")} onClose=${onClose} onDone=${onDone}>
    ${(/** @type {any} */ problem) => html`<p class="explained">${t(`locations.${name}_text`)}</p>
      ${isLabel && html`<div class="form"><${Fields} schema="LocationPatch" only=${["labels"]} body=${body} onChange=${setBody} problem=${problem} /></div>`}`}
  <//>`;
}

/** @param {{onClose: () => void}} props */
export function NewLocation({ onClose }) {
  return html`<${Write} title=${t("locations.create")} call=${{ method: "POST", path: "/locations", body: {} }} schema="NewLocation" fields=${FIELDS} kind="locations"
    action=${t("locations.create")} done=${t("saved")} onClose=${onClose} />`;
}
