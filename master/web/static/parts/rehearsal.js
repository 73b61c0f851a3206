// A write that is tried out first: what it would do, by node, then the write itself with what was expected.
import { prepared, run } from "../api.js";
import { number } from "../format.js";
import { nameOf } from "../names.js";
import { problemOf } from "../store.js";
import { html, useEffect, useMemo, useState } from "../view.js";
import { t } from "../words.js";
import { CopyCurl } from "./copy.js";
import { Dialog } from "./dialog.js";
import { ProblemNotice } from "./notice.js";
import { toast } from "./toast.js";

/** @typedef {import("../curl.js").Call} Call */

/**
 * @param {{title: string, call: Call, expects?: boolean, action: string, danger?: boolean, done: (answer: any) => string,
 *     onClose: () => void, onDone?: (answer: any) => void, children?: any}} props
 *     `call`: the write. `expects`: whether it takes `expect`, as bulk writes do. `action`: the words of its button.
 *     `done`: the notice afterwards
 */
export function Rehearsal({ title, call, expects = true, action, danger, done, onClose, onDone, children }) {
  const [outcome, setOutcome] = useState(/** @type {any} */ (null));
  const [problem, setProblem] = useState(/** @type {import("../api.js").Problem | null} */ (null));
  const [isBusy, setBusy] = useState(false);
  const [round, setRound] = useState(0);
  const matched = outcome?.matched ?? call.query?.expect;
  const key = JSON.stringify([call, matched]);
  const write = useMemo(() => prepared(expects ? { ...call, query: { ...call.query, expect: matched } } : call), [key]);

  useEffect(() => {
    const stop = new AbortController();
    rehearsed(call, expects, stop.signal).then(
      setOutcome,
      (error) => stop.signal.aborted || setProblem(problemOf(error)),
    );
    return () => stop.abort();
  }, [JSON.stringify(call), round]);

  const commit = async () => {
    setBusy(true);
    try {
      const answer = (await run(write)).data;
      toast(done(answer), { call: write });
      onDone?.(answer);
      onClose();
    } catch (error) {
      setProblem(problemOf(error));
      setBusy(false);
    }
  };
  const again = () => {
    setProblem(null);
    setRound(round + 1);
  };
  const actions = html`<${CopyCurl} call=${write} /><span class="gap" />
    <button type="button" onClick=${onClose}>${t("cancel")}</button>
    ${
      problem
        ? html`<button type="button" class="primary" onClick=${again}>${t("rehearse_again")}</button>`
        : html`<button type="button" class=${danger ? "danger" : "primary"} disabled=${!outcome || isBusy || matched === 0} onClick=${commit}>${action}</button>`
    }`;
  return html`<${Dialog} title=${title} onClose=${onClose} actions=${actions}>
    ${children}
    <${ProblemNotice} problem=${problem} />
    ${problem ? null : outcome ? html`<${Outcome} outcome=${outcome} />` : html`<p class="waiting" aria-busy="true">${t("rehearsing")}</p>`}
  <//>`;
}

/**
 * Tries the write out. A bulk write says how many it matches, so the number is asked for first.
 * @param {Call} call
 * @param {boolean} expects
 * @param {AbortSignal} signal
 */
async function rehearsed(call, expects, signal) {
  /** @type {import("../query.js").Query} */
  const query = { ...call.query, dry_run: true };
  if (expects) {
    const { all: _, expect: __, ...filter } = call.query ?? {};
    query.expect = (await run({ method: "GET", path: "/proxies/count", query: filter }, signal)).data.total;
  }
  return (await run({ ...call, query }, signal)).data;
}

/** @param {{outcome: any}} props */
function Outcome({ outcome }) {
  const nodes = outcome.by_node ?? [];
  return html`<p class="rehearsed">${outcome.matched !== undefined ? t("rehearsed", { n: outcome.matched, changed: outcome.changed }) : t("rehearsed_fine")}</p>
    ${
      nodes.length > 0 &&
      html`<div class="scrolls"><table class="plain">
      <thead><tr><th>${t("column.node")}</th>${columns(nodes).map((one) => html`<th class="end">${t(`column.${one}`)}</th>`)}</tr></thead>
      <tbody>${nodes.map(
        (/** @type {any} */ one) => html`<tr key=${one.node_id}><td>${nameOf("nodes", one.node_id)}</td>
          ${columns(nodes).map((name) => html`<td class="end">${number(one[name])}</td>`)}</tr>`,
      )}</tbody>
    </table></div>`
    }`;
}

/** The numbers that the outcome gives for each node. @param {any[]} nodes */
const columns = (nodes) =>
  Object.keys(nodes[0]).filter((name) => typeof nodes[0][name] === "number" && name !== "node_id");
