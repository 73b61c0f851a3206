// Invitations: hosts that enrol themselves. Which are open, who came in by them, and why somebody did not.
import { ago, number, time } from "../format.js";
import { named, nameOf } from "../names.js";
import { Empty, Stale, Waiting } from "../parts/elements/notice.js";
import { Badge } from "../parts/elements/states.js";
import { Write } from "../parts/forms/write.js";
import { NewInvitationDialog } from "../parts/nodes/invitation_dialog.js";
import { Page } from "../parts/shell/screen.js";
import { link } from "../router.js";
import { useRead } from "../store.js";
import { html, useState } from "../view.js";
import { t } from "../words.js";

const SHOWN = 100;

export default function Invitations() {
  const read = useRead(
    "/invitations",
    { limit: 1000, sort: "-id" },
    { on: ["invitations", "nodes"], every: 15, pause: 2000 },
  );
  const [isCreating, setCreating] = useState(false);
  const [gone, setGone] = useState(/** @type {any} */ (null));
  const create = html`<button type="button" class="primary" onClick=${() => setCreating(true)}>${t("invitations.create")}</button>`;
  return html`<${Page} title=${t("nav./nodes/invitations")} actions=${create}>
    <${Stale} read=${read} />
    ${
      !read.data
        ? html`<${Waiting} read=${read} />`
        : read.data.items.length === 0
          ? html`<${Empty} title=${t("invitations.none")}><p>${t("invitations.text")}</p>${create}<//>`
          : html`<div class="panels">${read.data.items.map((/** @type {any} */ one) => html`<${Invitation} key=${one.id} invitation=${one} onRemove=${setGone} />`)}</div>`
    }
    ${isCreating && html`<${NewInvitationDialog} onClose=${() => setCreating(false)} />`}
    ${
      gone &&
      html`<${Write} title=${t("invitations.remove")} call=${{ method: "DELETE", path: `/invitations/${gone.id}` }} text=${t("invitations.remove_text", { id: gone.id })}
        kind="invitations" action=${t("delete")} done=${t("invitations.removed")} danger onClose=${() => setGone(null)} />`
    }
  <//>`;
}

/** @param {{invitation: any, onRemove: (one: any) => void}} props */
function Invitation({ invitation, onRemove }) {
  const { id, state, used, uses, node_ids, last_error, last_error_at, expires_at, location_id, labels } = invitation;
  const pairs = Object.entries(labels);
  return html`<section class="panel half">
    <div class="panel-head"><h2>${t("invitations.one", { id })}</h2>
      <button type="button" class="bad" aria-label=${t("invitations.remove_one", { id })} onClick=${() => onRemove(invitation)}>${t("delete")}</button></div>
    <dl class="facts">
      <dt>${t("column.state")}</dt><dd><${Badge} state=${state} /></dd>
      <dt>${t("invitations.uses")}</dt><dd>${t("invitations.used", { used: number(used), uses: number(uses) })}</dd>
      <dt>${t("column.expires")}</dt><dd title=${time(expires_at)}>${ago(expires_at)}</dd>
      ${location_id && html`<dt>${t("field/location_id")}</dt><dd>${nameOf("locations", location_id)}</dd>`}
      ${pairs.length > 0 && html`<dt>${t("field/labels")}</dt><dd>${pairs.map(([key, value]) => html`<code key=${key}>${`${key}:${value}`}</code> `)}</dd>`}
      <dt>${t("nav./nodes")}</dt><dd>${node_ids.length ? html`<${Nodes} ids=${node_ids} />` : t("invitations.nobody")}</dd>
      ${last_error && html`<dt>${t("invitations.error")}</dt><dd class="bad-text">${last_error} <small title=${time(last_error_at)}>${ago(last_error_at)}</small></dd>`}
    </dl>
  </section>`;
}

/** @param {{ids: number[]}} props */
function Nodes({ ids }) {
  const nodes = named("nodes");
  return html`${ids.slice(0, SHOWN).map((id) => html`<a key=${id} href=${link(`/nodes/${id}`)}>${nodes.get(id)?.name ?? String(id)}</a> `)}
    ${ids.length > SHOWN && t("invitations.more", { n: number(ids.length - SHOWN) })}`;
}
