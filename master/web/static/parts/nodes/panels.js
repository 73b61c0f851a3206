// Tabs of a node: its exits, and the moves of its proxies to other nodes.
import { ago, duration, number, time } from "../../format.js";
import { nameOf } from "../../names.js";
import { link } from "../../router.js";
import { html, useState } from "../../view.js";
import { t } from "../../words.js";
import { StateBar } from "../elements/states.js";
import { Write } from "../forms/write.js";
import { Rotations } from "../proxies/rotations.js";

/** @param {{node: any}} props */
export function ExitsPanel({ node }) {
  const [isOpen, setOpen] = useState(false);
  const list = (/** @type {string[]} */ items) =>
    items.length ? html`<ul class="mono">${items.map((one) => html`<li key=${one}>${one}</li>`)}</ul>` : t("none");
  return html`<section class="panel scrolled"><div class="panel-head"><h2>${t("node.exits")}</h2><button type="button" onClick=${() => setOpen(true)}>${t("edit")}</button></div>
    <dl class="facts"><dt>${t("node.declared")}</dt><dd>${list(node.exits.addresses)}</dd><dt>${t("node.prefixes")}</dt><dd>${list(node.exits.ipv6_prefixes)}</dd>
      <dt>${t("node.reported")}</dt><dd>${list(node.addresses)}</dd></dl>
    ${
      isOpen &&
      html`<${Write} title=${t("node.exits")} call=${{ method: "PATCH", path: `/nodes/${node.id}`, body: {} }} schema="NodePatch" fields=${["exits"]} current=${node} kind="nodes"
      action=${t("save")} done=${t("saved")} onClose=${() => setOpen(false)} />`
    }
  </section>`;
}

/** @param {{node: any}} props */
export function MovingPanel({ node }) {
  const moving = node.moving;
  return html`<section class="panel scrolled"><h2>${t("node.moving")}</h2>
    ${
      moving
        ? html`<${StateBar} counts=${{ failed: moving.failed, pending: moving.left - moving.failed, limited: moving.overlapping }} order=${["failed", "pending", "limited"]} />
      <dl class="facts"><dt>${t("node.left")}</dt><dd>${number(moving.left)}</dd><dt>${t("node.starting")}</dt><dd>${number(moving.starting)}</dd>
        <dt>${t("node.overlapping")}</dt><dd>${number(moving.overlapping)} <small>${t("node.overlap", { time: duration(moving.overlap_s) })}</small></dd>
        <dt>${t("node.failed_moves")}</dt><dd>${number(moving.failed)}</dd><dt>${t("node.began")}</dt><dd>${time(moving.began_at)} <small>${ago(moving.began_at)}</small></dd>
        ${moving.emptied_at && html`<dt>${t("node.emptied")}</dt><dd>${time(moving.emptied_at)}</dd>`}
        <dt>${t("node.to")}</dt><dd>${moving.node_ids ? moving.node_ids.map((/** @type {number} */ one) => nameOf("nodes", one)).join(", ") : t("node.to_any")}</dd></dl>
      ${
        moving.failures.length > 0 &&
        html`<div class="scrolls"><table class="plain"><thead><tr><th>${t("kind.proxy")}</th><th>${t("reason")}</th><th>${t("node.next_try")}</th></tr></thead>
        <tbody>${moving.failures.map((/** @type {any} */ one) => html`<tr key=${one.proxy_id}><td><a href=${link(`/proxies/${one.proxy_id}`)}>${String(one.proxy_id)}</a></td><td>${one.reason}</td><td>${ago(one.next_at)}</td></tr>`)}</tbody></table></div>`
      }`
        : html`<p class="muted">${t("node.not_moving")}</p>`
    }
    <h3 class="below">${t("rotations")}</h3><${Rotations} query=${{ node_id: node.id }} limit=${20} named />
  </section>`;
}
