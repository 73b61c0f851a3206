// A new link. Its secret is shown once.

import { html, useState } from "../../view.js";
import { t } from "../../words.js";
import { CopyButton } from "../elements/copy.js";
import { Dialog } from "../elements/dialog.js";
import { Write } from "../forms/write.js";

/**
 * @param {{title: string, body: any, text?: string, fields?: string[], inputs?: Record<string, any>, onClose: () => void}} props
 *     `body`: the kind and the filter of the link. `fields`, `inputs`: as of a Write
 */
export function NewLinkDialog({
  title,
  body,
  text = t("link_text"),
  fields = ["format", "expires_at"],
  inputs,
  onClose,
}) {
  const [made, setMade] = useState(/** @type {any} */ (null));
  const show = (/** @type {any} */ link) => {
    setMade(link);
    return true;
  };
  if (made) return html`<${Texts} title=${title} hint=${t("link_once")} texts=${[made.url]} onClose=${onClose} />`;
  return html`<${Write} title=${title} call=${{ method: "POST", path: "/links", body }} schema="NewLink" fields=${fields} inputs=${inputs}
    text=${text} kind="links" action=${t("link_create")} done=${t("saved")} onClose=${onClose} onDone=${show} />`;
}

/** Texts to copy. @param {{title: string, hint: string, texts: string[], onClose: () => void, children?: any}} props */
export function Texts({ title, hint, texts, onClose, children }) {
  const all = texts.join("\n");
  return html`<${Dialog} title=${title} onClose=${onClose} wide actions=${html`${children}<span class="gap" /><${CopyButton} text=${all} label=${t("copy_all")} words=${t("copy_all")} quiet=${false} />`}>
    <p class="explained">${hint}</p><pre class="command" tabindex="0">${all}</pre><//>`;
}
