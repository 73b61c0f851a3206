// A new link to a list of proxies. Its secret is shown once.

import { html, useState } from "../view.js";
import { t } from "../words.js";
import { CopyButton } from "./copy.js";
import { Dialog } from "./dialog.js";
import { Write } from "./write.js";

/** @param {{title: string, filter: import("../query.js").Query, onClose: () => void}} props */
export function NewLinkDialog({ title, filter, onClose }) {
  const [made, setMade] = useState(/** @type {any} */ (null));
  const show = (/** @type {any} */ link) => {
    setMade(link);
    return true;
  };
  if (made) return html`<${Texts} title=${title} hint=${t("link_once")} texts=${[made.url]} onClose=${onClose} />`;
  return html`<${Write} title=${title} call=${{ method: "POST", path: "/links", body: { kind: "list", filter } }} schema="NewLink" fields=${["format", "expires_at"]}
    text=${t("link_text")} kind="links" action=${t("link_create")} done=${t("saved")} onClose=${onClose} onDone=${show} />`;
}

/** Texts to copy. @param {{title: string, hint: string, texts: string[], onClose: () => void, children?: any}} props */
export function Texts({ title, hint, texts, onClose, children }) {
  const all = texts.join("\n");
  return html`<${Dialog} title=${title} onClose=${onClose} wide actions=${html`${children}<span class="gap" /><${CopyButton} text=${all} label=${t("copy_all")} words=${t("copy_all")} quiet=${false} />`}>
    <p class="explained">${hint}</p><pre class="command" tabindex="0">${all}</pre><//>`;
}
