// The broker: where it is, and its move to another place, which masters and nodes follow.
import { ago, number } from "../../format.js";
import { link } from "../../router.js";
import { isForbidden, useRead } from "../../store.js";
import { html, useState } from "../../view.js";
import { t } from "../../words.js";
import { Waiting } from "../elements/notice.js";
import { Badge } from "../elements/states.js";
import { Write } from "../forms/write.js";

/** @typedef {"move" | "finish" | "abort"} Action */

const PATH = "/system/broker";

export function Broker() {
  const read = useRead(PATH, {}, { on: ["nodes", "events"], every: 15, pause: 2000 });
  const [act, setAct] = useState(/** @type {Action | null} */ (null));
  if (isForbidden(read)) return null;
  const move = read.data?.move;
  /** @type {Action[]} */
  const acts = move ? ["finish", "abort"] : ["move"];
  return html`<section class="panel"><div class="panel-head"><h2>${t("broker")}</h2>
      ${read.data && acts.map((one) => html`<button type="button" key=${one} onClick=${() => setAct(one)}>${t(`broker.${one}`)}</button>`)}</div>
    ${read.data ? html`<${Place} overview=${read.data} />${move && html`<${Move} move=${move} />`}` : html`<${Waiting} read=${read} />`}
    ${act && html`<${Act} act=${act} missing=${move?.missing ?? []} onDone=${() => void read.refresh()} onClose=${() => setAct(null)} />`}
  </section>`;
}

/** @param {{overview: any}} props */
function Place({ overview: { link: now, left, outdated_settings: outdated } }) {
  return html`<dl class="facts"><dt>${t("broker.masters_use")}</dt><dd class="mono">${now.amqp_urls.join(" ")}</dd>
      <dt>${t("broker.nodes_use")}</dt><dd class="mono">${now.node_amqp_urls.join(" ")}</dd>
      <dt>${t("broker.trust")}</dt><dd>${t(now.ca === null ? "broker.clear" : now.ca === "system" ? "broker.system" : "broker.own_ca")}</dd></dl>
    ${
      outdated.length > 0 &&
      html`<div class="notice old" role="status"><div><p>${t("broker.outdated")}</p>
        <ul>${outdated.map((/** @type {any} */ one) => html`<li key=${one.name}><code>${one.name}=${one.value}</code></li>`)}</ul></div></div>`
    }
    ${left?.left_over && html`<div class="notice old" role="status"><p>${left.left_over}</p></div>`}`;
}

/** @param {{move: any}} props */
function Move({ move: { link: next, state, since, masters, nodes, missing } }) {
  return html`<h3>${t(`broker.${state}`, { since: ago(since) })}</h3>
    <p class="mono">${next.amqp_urls.join(" ")}</p>
    <p>${masters.map((/** @type {any} */ one) => html`<span key=${one.id}>${one.host} <${Badge} state=${one.is_up ? "online" : "offline"} /> </span>`)}</p>
    <p>${t("broker.moved_of", { n: nodes.total, moved: number(nodes.moved), total: number(nodes.total) })}</p>
    ${
      missing.length > 0 &&
      html`<div class="scrolls" tabindex="0" role="region" aria-label=${t("broker.missing")}><table class="plain">
        <thead><tr><th>${t("broker.missing")}</th><th>${t("column.state")}</th><th>${t("broker.reason")}</th></tr></thead>
        <tbody>${missing.map(
          (
            /** @type {any} */ one,
          ) => html`<tr key=${one.node_id}><td><a href=${link(`/nodes/${one.node_id}`)}>${one.name}</a></td>
            <td><${Badge} state=${one.online ? "online" : "offline"} /></td><td>${one.reason ?? "–"}</td></tr>`,
        )}</tbody></table></div>`
    }`;
}

/** Certificates have lines, which an input of one line would drop. @param {{id: string, value: any, set: (value: any) => void}} props */
const Pem = ({ id, value, set }) =>
  html`<textarea id=${id} class="mono" rows=${4} spellcheck=${false} value=${value ?? ""} placeholder="-----BEGIN CERTIFICATE-----"
    onInput=${(/** @type {any} */ event) => set(event.target.value || undefined)}></textarea>`;

/** @param {{act: Action, missing: any[], onDone: () => void, onClose: () => void}} props */
function Act({ act, missing, onDone, onClose }) {
  const common = {
    title: t(`broker.${act}`),
    action: t(`broker.${act}`),
    text: t(`broker.${act}_text`),
    done: t(`broker.${act}_done`),
    kind: "nodes",
  };
  if (act === "move")
    return html`<${Write} ...${common} call=${{ method: "POST", path: PATH }} schema="NewBrokerLink" inputs=${{ "/ca": Pem }} onDone=${onDone} onClose=${onClose} />`;
  const given = act === "finish" && missing.length > 0 ? { schema: "FinishRequest" } : {};
  const body = act === "finish" ? { body: {} } : {};
  return html`<${Write} ...${common} ...${given} call=${{ method: "POST", path: `${PATH}/${act}`, ...body }} danger onDone=${onDone} onClose=${onClose} />`;
}
