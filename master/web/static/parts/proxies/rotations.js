// Rotations as timelines: requested, started, probed, switched, overlap ended.
import { ago, clock, duration, time } from "../../format.js";
import { link } from "../../router.js";
import { useRead } from "../../store.js";
import { classes, html } from "../../view.js";
import { t } from "../../words.js";
import { Waiting } from "../elements/notice.js";

const STEPS = [
  ["created", "created_at"],
  ["started", "started_at"],
  ["probed", "probed_at"],
  ["switched", "switched_at"],
  ["ended", "ended_at"],
];

/** @param {{query: import("../../query.js").Query, limit?: number, named?: boolean}} props `named`: shows which proxy each concerns */
export function Rotations({ query, limit = 5, named }) {
  const read = useRead("/rotations", { ...query, sort: "-id", limit }, { on: ["rotations"], every: 10 });
  if (!read.data) return html`<${Waiting} read=${read} />`;
  if (read.data.items.length === 0) return html`<p class="muted">${t("rotations_none")}</p>`;
  return html`<ol class="rotations">${read.data.items.map((/** @type {any} */ one) => html`<${Timeline} key=${one.id} rotation=${one} named=${named} />`)}</ol>`;
}

/** @param {{rotation: any, named?: boolean}} props */
function Timeline({ rotation, named }) {
  const isFailed = rotation.state === "failed";
  const reached = STEPS.map(([, member]) => rotation[member]);
  return html`<li class="rotation">
    <div class="rotation-head"><span class=${`badge ${isFailed ? "failed" : rotation.state === "done" ? "ok" : "pending"}`}>${t(`rotation.${rotation.state}`)}</span>
      ${named && html`<a href=${link(`/proxies/${rotation.proxy_id}`)}>${t("kind.proxy")} ${String(rotation.proxy_id)}</a>`}
      <b>${rotation.what.map((/** @type {string} */ part) => t(`part.${part}`)).join(", ")}</b>
      <small>${t(rotation.scheduled ? "by_schedule" : "on_request")}, <span title=${time(rotation.created_at)}>${ago(rotation.created_at)}</span></small></div>
    <ol class="timeline">${STEPS.map(([step, member], at) => {
      const isLast = isFailed && step === "ended";
      const since =
        at > 0 && rotation[member]
          ? (Date.parse(rotation[member]) - Date.parse(reached.slice(0, at).findLast(Boolean))) / 1000
          : null;
      return html`<li key=${step} class=${classes(rotation[member] && "reached", isLast && "failed")} title=${time(rotation[member])}>
        <span>${t(isLast ? "rotation.failed" : `step.${step}`)}</span><small>${rotation[member] ? (since === null ? clock(rotation[member]) : `+${duration(Math.max(since, 0))}`) : "–"}</small></li>`;
    })}</ol>
    ${rotation.reason && html`<p class="error">${rotation.reason}</p>`}
  </li>`;
}
