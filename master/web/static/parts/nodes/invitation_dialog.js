// A new invitation. Its code is shown once, in each form in which a host can take it.
import { named } from "../../names.js";
import { html, useState } from "../../view.js";
import { t } from "../../words.js";
import { CopyButton } from "../elements/copy.js";
import { Dialog } from "../elements/dialog.js";
import { Write } from "../forms/write.js";

const FIELDS = ["uses", "location_id", "labels", "name_prefix", "expires_at", "limits", "exits"];
/** The forms of the code: what the answer calls them. */
const FORMS = ["command", "cloud_init", "environment"];

/** @param {{onClose: () => void}} props */
export function NewInvitationDialog({ onClose }) {
  const [made, setMade] = useState(/** @type {any} */ (null));
  const show = (/** @type {any} */ invitation) => {
    setMade(invitation);
    return true;
  };
  if (made) return html`<${Code} invitation=${made} onClose=${onClose} />`;
  return html`<${Write} title=${t("invitations.create")} call=${{ method: "POST", path: "/invitations", body: { uses: 1 } }} schema="NewInvitation" fields=${FIELDS}
    inputs=${{ "/location_id": LocationInput }} text=${t("invitations.text")} kind="invitations" action=${t("create")} done=${t("invitations.created")} onClose=${onClose} onDone=${show} />`;
}

/** @param {{id: string, name: string, value: any, set: (value: any) => void}} props */
const LocationInput = ({ id, name, value, set }) =>
  html`<select id=${id} name=${name} value=${value ?? ""} onChange=${(/** @type {any} */ event) => set(event.target.value ? Number(event.target.value) : undefined)}>
    <option value="">${t("none")}</option>${[...named("locations").values()].map((one) => html`<option value=${one.id} key=${one.id}>${one.name}</option>`)}</select>`;

/** @param {{invitation: any, onClose: () => void}} props */
function Code({ invitation, onClose }) {
  const texts = FORMS.map((form) => ({ form, text: textOf(invitation[form]) })).filter(({ text }) => text);
  return html`<${Dialog} title=${t("invitations.one", { id: invitation.id })} onClose=${onClose} wide actions=${html`<span class="gap" /><button type="button" class="primary" onClick=${onClose}>${t("invitations.watch")}</button>`}>
    <p class="explained">${t("invitations.once")}</p>
    ${!invitation.command && html`<p class="muted">${t("invitations.no_installer")}</p>`}
    ${texts.map(
      ({ form, text }) => html`<h3 key=${form}>${t(`invitations.${form}`)}</h3>
        <div class="command-box"><pre class="command" tabindex="0" aria-label=${t(`invitations.${form}`)}>${text}</pre><${CopyButton} text=${text} label=${t(`invitations.copy_${form}`)} /></div>`,
    )}<//>`;
}

/** A text as it is, variables one a line. @param {any} form @returns {string} */
const textOf = (form) =>
  form !== null && typeof form === "object"
    ? Object.entries(form)
        .map(([name, value]) => `${name}=${value}`)
        .join("\n")
    : (form ?? "");
