// What is done to one node from its head.
import { html, useState } from "../../view.js";
import { t } from "../../words.js";
import { CopyCurl } from "../elements/copy.js";
import { Menu } from "../elements/menu.js";
import { Write } from "../forms/write.js";
import { ACTIONS, NodesDialog } from "./actions.js";

/** @param {{node: any}} props */
export function NodeMenu({ node }) {
  const [action, setAction] = useState(/** @type {string | null} */ (null));
  const path = `/nodes/${node.id}`;
  const close = () => setAction(null);
  const isActive = node.state === "active";
  const found = ACTIONS.find((one) => one.key === action);
  const item = (/** @type {string} */ key) =>
    html`<button type="button" onClick=${() => setAction(key)}>${t(`node.${key}`)}</button>`;
  return html`${isActive ? item("drain") : item("activate")}
    <button type="button" onClick=${() => setAction("edit")}>${t("edit")}</button>
    <${Menu} label=${t("more")}>${item("move")}${item("sync")}<${CopyCurl} call=${{ method: "GET", path }} /><//>
    ${found && html`<${NodesDialog} action=${found} nodes=${[node]} onClose=${close} />`}
    ${
      action === "edit" &&
      html`<${Write} title=${t("edit")} call=${{ method: "PATCH", path, body: {} }} schema="NodePatch" fields=${["name", "ip", "location_id", "labels", "limits", "pinned_version"]}
      current=${node} kind="nodes" action=${t("save")} done=${t("saved")} onClose=${close} />`
    }`;
}
