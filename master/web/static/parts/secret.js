// A secret that the API shows once.
import { html } from "../view.js";
import { t } from "../words.js";
import { CopyButton } from "./copy.js";
import { Dialog } from "./dialog.js";

/** @param {{title: string, text: string, secret: string, onClose: () => void}} props */
export function Secret({ title, text, secret, onClose }) {
  const close = html`<span class="gap" /><button type="button" class="primary" onClick=${onClose}>${t("close")}</button>`;
  return html`<${Dialog} title=${title} onClose=${onClose} actions=${close}>
    <p>${text}</p>
    <div class="copyable"><code tabindex="0">${secret}</code><${CopyButton} text=${secret} label=${t("copy")} /></div>
  <//>`;
}
