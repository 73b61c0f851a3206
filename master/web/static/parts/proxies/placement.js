// Where new proxies would go, and per node why not more: the dry run of a creation.
import { run } from "../../api.js";
import { number } from "../../format.js";
import { nameOf } from "../../names.js";
import { link } from "../../router.js";
import { problemOf } from "../../store.js";
import { html, useEffect, useState } from "../../view.js";
import { t } from "../../words.js";
import { ProblemNotice } from "../elements/notice.js";

const PAUSE_MS = 250;

/** Tries a call out whenever it changes. @param {import("../../curl.js").Call} call @param {boolean} ready */
export function useDryRun(call, ready) {
  const [state, setState] = useState(/** @type {{outcome: any, problem: any}} */ ({ outcome: null, problem: null }));
  useEffect(() => {
    if (!ready) return setState({ outcome: null, problem: null });
    const stop = new AbortController();
    const { Prefer: _, "Idempotency-Key": __, ...headers } = call.headers ?? {};
    const begin = () =>
      run({ ...call, headers, query: { ...call.query, dry_run: true } }, stop.signal).then(
        ({ data }) => setState({ outcome: data, problem: null }),
        (error) => stop.signal.aborted || setState({ outcome: null, problem: problemOf(error) }),
      );
    const timer = setTimeout(begin, PAUSE_MS);
    return () => [clearTimeout(timer), stop.abort()];
  }, [call, ready]);
  return state;
}

/** @param {{outcome: any, problem: any, isPlaced: boolean}} props */
export function Placement({ outcome, problem, isPlaced }) {
  if (!isPlaced) return html`<p class="muted">${t("create.not_placed")}</p>`;
  if (problem?.body?.possible !== undefined) return html`<${TooFew} body=${problem.body} />`;
  if (problem) return html`<${ProblemNotice} problem=${problem} />`;
  if (!outcome) return html`<p class="waiting" aria-busy="true">${t("rehearsing")}</p>`;
  const ports = new Map();
  for (const one of outcome.created) ports.set(one.node_id, [...(ports.get(one.node_id) ?? []), one.port]);
  return html`<p class="rehearsed">${t("create.fits", { n: outcome.created.length })}</p>
    <table class="plain"><thead><tr><th>${t("column.node")}</th><th class="end">${t("column.created_count")}</th><th class="end">${t("create.ports")}</th></tr></thead>
      <tbody>${outcome.by_node.map(
        (/** @type {any} */ one) =>
          html`<tr key=${one.node_id}><td>${nameOf("nodes", one.node_id)}</td><td class="end">${number(one.created)}</td><td class="end mono">${range(ports.get(one.node_id) ?? [])}</td></tr>`,
      )}</tbody></table>`;
}

/** The ports as a range. @param {number[]} ports */
const range = (ports) => (ports.length > 1 ? `${Math.min(...ports)}–${Math.max(...ports)}` : String(ports[0] ?? ""));

/** @param {{body: any}} props */
function TooFew({ body }) {
  return html`<div class="notice bad"><p>${t("create.too_few", { wanted: body.wanted, possible: body.possible })}</p></div>
    ${body.by_node.length === 0 && html`<p>${t("create.no_node")} <a href=${link("/nodes/enrol")}>${t("nav./nodes/enrol")}</a></p>`}
    <table class="plain"><tbody>${body.by_node.map(
      (
        /** @type {any} */ one,
      ) => html`<tr key=${one.node_id}><td><a href=${link(`/nodes/${one.node_id}`)}>${nameOf("nodes", one.node_id)}</a></td>
        <td class="end">${number(one.possible)}</td><td class="muted">${one.reason}</td></tr>`,
    )}</tbody></table>`;
}
