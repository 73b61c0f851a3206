// Rebalancing a location: which proxies would go from where to where, as a matrix.
import { matrixOf } from "../../capacity.js";
import { announce } from "../../changes.js";
import { number } from "../../format.js";
import { nameOf } from "../../names.js";
import { html, useState } from "../../view.js";
import { t } from "../../words.js";
import { Fields } from "../forms/form.js";
import { Rehearsal } from "../forms/rehearsal.js";

/** @param {{place: any, onClose: () => void}} props `place`: the location */
export function Rebalance({ place, onClose }) {
  const [body, setBody] = useState(/** @type {any} */ ({}));
  const call = { method: "POST", path: `/locations/${place.id}/rebalance`, body };
  const moves = (/** @type {any} */ answer) => answer.moves.length;
  return html`<${Rehearsal} title=${t("locations.rebalance_title", { name: place.name })} call=${call} expects=${false} action=${t("locations.rebalance")} fits=${(/** @type {any} */ found) => moves(found) > 0}
    view=${(/** @type {any} */ found) => html`<${Moves} result=${found} />`} done=${(/** @type {any} */ answer) => t("locations.moving", { n: moves(answer) })} onClose=${onClose} onDone=${() => announce("proxies")}>
    ${(/** @type {any} */ problem) => html`<p class="explained">${t("locations.rebalance_text")}</p>
      <div class="form columns-2"><${Fields} schema="RebalanceRequest" body=${body} onChange=${setBody} problem=${problem} /></div>`}
  <//>`;
}

/** @param {{result: {moves: any[], nodes: any[]}}} props */
function Moves({ result: { moves, nodes } }) {
  const { from, to, count } = matrixOf(moves);
  if (nodes.length === 0) return html`<p class="rehearsed">${t("locations.no_node")}</p>`;
  if (moves.length === 0) return html`<p class="rehearsed">${t("locations.balanced")}</p>`;
  const load = (/** @type {number} */ id) => {
    const one = nodes.find((node) => node.node_id === id);
    return one ? `${number(one.before)} → ${number(one.after)}` : "";
  };
  return html`<p class="rehearsed">${t("locations.moves", { n: moves.length })}</p>
    <div class="scrolls"><table class="plain moves"><thead><tr><th>${t("locations.from_to")}</th>
      ${to.map((id) => html`<th scope="col" class="end" key=${id}>${nameOf("nodes", id)}<small>${load(id)}</small></th>`)}</tr></thead>
      <tbody>${from.map((id) => html`<tr key=${id}><th scope="row">${nameOf("nodes", id)}<small>${load(id)}</small></th>${to.map((other) => html`<td class="end" key=${other}>${count(id, other) || html`<span class="muted">0</span>`}</td>`)}</tr>`)}</tbody>
    </table></div>`;
}
