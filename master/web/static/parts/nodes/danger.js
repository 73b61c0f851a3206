// What takes a node out of service: disabling, replacing its host, removing it.
import { go } from "../../router.js";
import { html, useState } from "../../view.js";
import { t } from "../../words.js";
import { Write } from "../forms/write.js";

/** @param {{node: any}} props */
export function DangerPanel({ node }) {
  const [open, setOpen] = useState(/** @type {string | null} */ (null));
  const path = `/nodes/${node.id}`;
  const remove = (/** @type {string} */ proxies) => ({ method: "DELETE", path, query: { proxies } });
  /** @type {Record<string, any>} */
  const writes = {
    disable: { call: { method: "PATCH", path, body: { state: "disabled" } }, danger: true },
    replace: { call: { method: "POST", path: `${path}/replace`, body: {} }, schema: "ReplaceRequest" },
    remove_moved: { call: remove("move") },
    remove_empty: { call: remove("refuse"), danger: true },
    remove_all: { call: remove("delete"), danger: true, typed: node.name },
  };
  const write = open === null ? null : writes[open];
  return html`<section class="panel scrolled"><h2>${t("node.danger")}</h2><ul class="dangers">
      ${Object.keys(writes).map(
        (
          key,
        ) => html`<li key=${key}><div><b>${t(`danger.${key}`)}</b><p class="muted">${t(`danger.${key}_text`, { n: node.status.count })}</p></div>
        <button type="button" class=${writes[key].danger ? "danger" : ""} onClick=${() => setOpen(key)}>${t(`danger.${key}`)}</button></li>`,
      )}</ul>
    ${
      write &&
      html`<${Write} ...${write} kind="nodes" title=${t(`danger.${open}`)} text=${t(`danger.${open}_text`, { n: node.status.count })} action=${t(`danger.${open}`)} done=${t("saved")}
      onClose=${() => setOpen(null)} onDone=${() => open?.startsWith("remove") && go("/nodes")} />`
    }
  </section>`;
}
