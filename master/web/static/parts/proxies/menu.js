// What is done to one proxy.
import { go } from "../../router.js";
import { html, useState } from "../../view.js";
import { t } from "../../words.js";
import { CopyCurl } from "../elements/copy.js";
import { Menu } from "../elements/menu.js";
import { Write } from "../forms/write.js";

/** @typedef {import("../../resources.d.ts").Proxy} Proxy */

/** @param {{proxy: Proxy}} props */
export function ProxyMenu({ proxy }) {
  const [open, setOpen] = useState(/** @type {string | null} */ (null));
  const path = `/proxies/${proxy.id}`;
  const close = () => setOpen(null);
  const toggle = { method: "PATCH", path, body: { enabled: !proxy.enabled } };
  return html`<button type="button" onClick=${() => setOpen("rotate")}>${t("rotate")}</button>
    <button type="button" onClick=${() => setOpen("edit")}>${t("edit")}</button>
    <${Menu} label=${t("more")}>
      <button type="button" onClick=${() => setOpen("enabled")}>${t(proxy.enabled ? "disable" : "enable")}</button>
      <${CopyCurl} call=${{ method: "GET", path }} />
      <button type="button" class="bad" onClick=${() => setOpen("delete")}>${t("delete")}</button>
    <//>
    ${
      open === "rotate" &&
      html`<${Write} title=${t("rotate_title")} call=${{ method: "POST", path: `${path}/rotate`, body: { what: ["credentials"] }, query: {} }} schema="RotateRequest"
      fields=${["what", "overlap_s", "node_ids"]} text=${t("rotate_text")} action=${t("rotate")} done=${t("rotate_begun")} onClose=${close} />`
    }
    ${
      open === "edit" &&
      html`<${Write} title=${t("edit")} call=${{ method: "PATCH", path, body: {}, version: proxy.version }} schema="ProxyPatch" current=${proxy}
      action=${t("save")} done=${t("saved")} onClose=${close} />`
    }
    ${
      open === "enabled" &&
      html`<${Write} title=${t(proxy.enabled ? "disable" : "enable")} call=${toggle} text=${t(proxy.enabled ? "disable_text" : "enable_text")}
      action=${t(proxy.enabled ? "disable" : "enable")} done=${t("saved")} onClose=${close} />`
    }
    ${
      open === "delete" &&
      html`<${Write} title=${t("delete_title")} call=${{ method: "DELETE", path }} text=${t("delete_text")} danger action=${t("delete")} done=${t("deleted")}
      onClose=${close} onDone=${() => go("/proxies")} />`
    }`;
}
