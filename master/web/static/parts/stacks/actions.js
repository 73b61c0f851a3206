// What is done to stacks: to the selected ones, or to one from its head.
import { has, NOTHING } from "../../selection.js";
import { html, useState } from "../../view.js";
import { t } from "../../words.js";
import { Menu } from "../elements/menu.js";
import { ExportMenu } from "../table/export.js";
import { StackDialog } from "./dialogs.js";

const IN_SIGHT = ["rotate", "check"];
const LATER = ["enable", "disable", "delete"];

/** @param {{list: import("../../list.js").List, selection: import("@preact/signals").Signal<import("../../selection.js").Selection>}} props */
export function StackActions({ list, selection }) {
  const [action, setAction] = useState(/** @type {string | null} */ (null));
  const chosen = list.state.value.rows.filter((row) => has(selection.value, row.id));
  if (chosen.length === 0) return null;
  const clear = () => {
    selection.value = NOTHING;
  };
  return html`<div class="selection-bar" role="region" aria-label=${t("selection")}>
    <b>${t("selected", { n: chosen.length })}</b>
    ${chosen.length === 1 && html`<${Button} name="scale" onPick=${setAction} />`}
    ${IN_SIGHT.map((one) => html`<${Button} key=${one} name=${one} onPick=${setAction} />`)}
    <${ExportMenu} filter=${{ stack_id: chosen.map((one) => one.id) }} />
    <${Menu} label=${t("more")} align="left">${LATER.map((one) => html`<${Button} key=${one} name=${one} onPick=${setAction} />`)}<//>
    <span class="gap" /><button type="button" class="quiet" onClick=${clear}>${t("deselect")}</button>
    ${action && html`<${StackDialog} name=${action} stacks=${chosen} onClose=${() => setAction(null)} onDone=${action === "delete" ? clear : undefined} />`}
  </div>`;
}

/** @param {{name: string, onPick: (name: string) => void}} props */
export function Button({ name, onPick }) {
  return html`<button type="button" class=${name === "delete" ? "bad" : ""} onClick=${() => onPick(name)}>${t(`stacks.${name}`)}</button>`;
}

/** @param {{stack: any, onGone: () => void}} props */
export function StackMenu({ stack, onGone }) {
  const [action, setAction] = useState(/** @type {string | null} */ (null));
  const button = (/** @type {string} */ one) => html`<${Button} key=${one} name=${one} onPick=${setAction} />`;
  return html`${["scale", "edit", "rotate"].map(button)}<${ExportMenu} filter=${{ stack_id: stack.id }} />
    <${Menu} label=${t("more")}>${["check", ...LATER].map(button)}<//>
    ${action && html`<${StackDialog} name=${action} stacks=${[stack]} onClose=${() => setAction(null)} onDone=${action === "delete" ? onGone : undefined} />`}`;
}
