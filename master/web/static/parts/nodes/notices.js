// What keeps a node from doing what is wanted, and what to do about it.
import { ago, time } from "../../format.js";
import { html, useState } from "../../view.js";
import { t } from "../../words.js";
import { Write } from "../forms/write.js";

/** @param {{node: any}} props */
export function LinkNotice({ node }) {
  const { state, count, reported_at: at, trouble } = node.status;
  if (state === "never_reported")
    return html`<div class="notice warn" role="status"><p>${t("node.never_reported")}</p></div>`;
  return html`${state === "offline" && html`<div class="notice bad" role="status"><p>${t("node.offline", { n: count, since: time(at), ago: ago(at) })}</p></div>`}
    ${trouble && html`<div class="notice bad" role="status"><p>${t("node.troubled")} ${trouble}</p></div>`}`;
}

/** A list that the node holds back: it acts on it when somebody types how many proxies would stop. @param {{node: any}} props */
export function HeldList({ node }) {
  const held = node.status.held;
  const [isOpen, setOpen] = useState(false);
  if (!held) return null;
  const { stops, of } = held;
  return html`<div class="notice bad" role="alert"><div><p>${t("node.held", { stops, of })}</p></div>
      <button type="button" onClick=${() => setOpen(true)}>${t("node.held_look")}</button></div>
    ${
      isOpen &&
      html`<${Write} title=${t("node.held_title")} call=${{ method: "POST", path: `/nodes/${node.id}/sync`, body: { confirm: true } }} kind="nodes" danger
      text=${t("node.held_text", { stops, of })} typed=${String(stops)} action=${t("node.held_confirm")} done=${t("node.held_confirmed")} onClose=${() => setOpen(false)} />`
    }`;
}
