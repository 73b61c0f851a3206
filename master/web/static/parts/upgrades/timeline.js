// The nodes of an upgrade, a row for each: what it did and when, on one axis of time.
import { ago, clock, duration, time } from "../../format.js";
import { link } from "../../router.js";
import { axisOf, segments } from "../../timeline.js";
import { html } from "../../view.js";
import { t } from "../../words.js";
import { stateWords, tone, UpgradeBadge } from "./states.js";

/** @param {{upgrade: any}} props */
export function Timeline({ upgrade }) {
  const axis = axisOf(upgrade, Date.now());
  return html`<div class="scrolls"><table class="plain upgrade-nodes">
    <thead><tr><th class="end">${t("upgrade.place")}</th><th>${t("column.node")}</th><th>${t("upgrade.from")}</th><th>${t("column.state")}</th>
      <th class="upgrade-axis"><span>${clock(axis.from)}</span><span>${t("upgrade.axis", { time: duration((axis.to - axis.from) / 1000) })}</span></th></tr></thead>
    <tbody>${upgrade.nodes.map((/** @type {any} */ node) => html`<${Row} key=${node.node_id} node=${node} axis=${axis} />`)}</tbody>
  </table></div>`;
}

/** @param {{node: any, axis: {from: number, to: number}}} props */
function Row({ node, axis }) {
  return html`<tr><td class="end muted">${node.place}</td>
    <td><a href=${link(`/nodes/${node.node_id}`)}>${node.name}</a></td>
    <td class="mono">${node.from_version || "–"}</td>
    <td><${UpgradeBadge} state=${node.state} /> <small title=${time(node.at)}>${ago(node.at)}</small>
      ${node.reason && html`<small class="upgrade-reason">${node.reason}</small>`}</td>
    <td class="upgrade-axis"><${Track} steps=${node.steps} axis=${axis} /></td></tr>`;
}

/** @param {{steps: import("../../timeline.js").Step[], axis: {from: number, to: number}}} props */
function Track({ steps, axis }) {
  const words = steps.map(({ state, at }) => `${clock(at)} ${stateWords(state)}`).join(", ");
  return html`<span class="track" role="img" aria-label=${words} title=${words.replaceAll(", ", "\n")}>
    ${segments(steps, axis).map(
      (one) =>
        html`<i key=${`${one.at} ${one.state}`} class=${tone(one.state)} style=${{ left: `min(${one.left}%, calc(100% - 3px))`, width: `${one.width}%` }} />`,
    )}</span>`;
}
