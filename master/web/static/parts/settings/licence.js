// The licence: what it allows, until when, and the dialogue that installs a key.
import { number, time } from "../../format.js";
import { isForbidden, useRead } from "../../store.js";
import { html, useState } from "../../view.js";
import { t } from "../../words.js";
import { Waiting } from "../elements/notice.js";
import { Write } from "../forms/write.js";

/** @type {Record<string, string>} */
const LEVELS = { community: "ok", valid: "ok", not_yet_valid: "warning", grace: "warning", expired: "error" };

export function Licence() {
  const read = useRead("/license", {}, { every: 60 });
  const [isOpen, setOpen] = useState(false);
  if (isForbidden(read)) return null;
  return html`<section class="panel"><div class="panel-head"><h2>${t("licence")}</h2>
      <button type="button" onClick=${() => setOpen(true)}>${t("licence.install")}</button></div>
    ${read.data ? html`<${Facts} licence=${read.data} />` : html`<${Waiting} read=${read} />`}
    ${
      isOpen &&
      html`<${Write} title=${t("licence.install")} call=${{ method: "PUT", path: "/license" }} schema="NewLicense" text=${t("licence.text")}
        action=${t("licence.install")} done=${t("licence.installed")} onClose=${() => setOpen(false)} onDone=${() => void read.refresh()} />`
    }</section>`;
}

/** @param {{licence: any}} props */
function Facts({ licence }) {
  const { state, customer, id, valid_to: end, grace_until: grace, nodes, proxies, problem } = licence;
  return html`${problem && html`<div class="notice bad" role="status"><p>${problem.setting}: ${problem.reason}</p></div>`}
    <p><span class=${`badge ${LEVELS[state]}`}>${t(`licence.${state}`)}</span></p>
    <dl class="facts">${customer && html`<dt>${t("licence.customer")}</dt><dd>${customer} <small class="muted mono">${id}</small></dd>`}
      ${end && html`<dt>${t("licence.valid_to")}</dt><dd>${time(end)}</dd><dt>${t("licence.grace_until")}</dt><dd>${time(grace)}</dd>`}
      <dt>${t("nav./nodes")}</dt><dd>${use(nodes)}</dd><dt>${t("nav./proxies")}</dt><dd>${use(proxies)}</dd></dl>`;
}

/** @param {{counted: number, allowed: number | null}} of */
const use = ({ counted, allowed }) =>
  allowed === null ? number(counted) : t("licence.of", { counted: number(counted), allowed: number(allowed) });
