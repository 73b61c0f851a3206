// A write of many that is tried out first: what it would do, by node, then the write itself with what was expected.
import { prepared, run } from "../../api.js";
import { number } from "../../format.js";
import { nameOf } from "../../names.js";
import { problemOf } from "../../store.js";
import { html, useEffect, useMemo, useState } from "../../view.js";
import { t } from "../../words.js";
import { CopyCurl } from "../elements/copy.js";
import { Dialog } from "../elements/dialog.js";
import { ProblemNotice } from "../elements/notice.js";
import { toast } from "../elements/toast.js";

/** @typedef {import("../../curl.js").Call} Call */
/** @typedef {{matched: number | null, by_node: Record<string, number>[], data?: any}} Outcome `matched`: null for a write that takes no filter */

const PAUSE_MS = 300;

/**
 * @param {{title: string, call: Call & {version?: number}, expects?: boolean, dry?: boolean, ready?: boolean, action: string, danger?: boolean,
 *     done: (answer: any, matched: number | null) => string, onClose: () => void, onDone?: (answer: any) => unknown, view?: (data: any) => any, fits?: (data: any) => boolean, children?: any}} props
 *     `call`: the write. `expects`: whether it takes a filter and `expect`. `dry`: whether it can be tried out; otherwise
 *     the rows are only counted. `ready`: whether the call is complete. `action`: the words of its button. `done`: the
 *     notice afterwards. `onDone`: true
 *     keeps the dialogue. `view`: shows the answer of the dry run instead of the table by node. `fits`: whether it
 *     leaves something to do. `children`: what stands above, or a function that makes it of the problem, such as a form
 */
export function Rehearsal({
  title,
  call,
  expects = true,
  dry = true,
  ready = true,
  action,
  danger,
  done,
  onClose,
  onDone,
  view,
  fits = () => true,
  children,
}) {
  const [outcome, setOutcome] = useState(/** @type {Outcome | null} */ (null));
  const [problem, setProblem] = useState(/** @type {import("../../api.js").Problem | null} */ (null));
  const [isBusy, setBusy] = useState(false);
  const [round, setRound] = useState(0);
  const matched = outcome?.matched ?? null;
  const key = JSON.stringify([call, matched]);
  const write = useMemo(() => prepared(expects ? { ...call, query: { ...call.query, expect: matched } } : call), [key]);

  useEffect(() => {
    if (!ready) return;
    const stop = new AbortController();
    const begin = () =>
      rehearsed(call, expects, dry, stop.signal).then(
        (found) => [setOutcome(found), setProblem(null)],
        (error) => stop.signal.aborted || [setProblem(problemOf(error)), setOutcome(null)],
      );
    const timer = setTimeout(begin, outcome || problem ? PAUSE_MS : 0);
    return () => [clearTimeout(timer), stop.abort()];
  }, [JSON.stringify(call), round, ready]);

  const commit = async () => {
    setBusy(true);
    try {
      const answer = (await run(write)).data;
      toast(done(answer, matched), { call: write });
      if (onDone?.(answer) !== true) onClose();
    } catch (error) {
      setProblem(problemOf(error));
      setBusy(false);
    }
  };
  const again = () => setRound(round + 1);
  const isFit = ready && outcome !== null && matched !== 0 && fits(outcome.data) && !isBusy;
  const actions = html`<${CopyCurl} call=${write} /><span class="gap" />
    <button type="button" onClick=${onClose}>${t("cancel")}</button>
    ${
      problem && problem.status !== 422
        ? html`<button type="button" class="primary" onClick=${again}>${t("rehearse_again")}</button>`
        : html`<button type="button" class=${danger ? "danger" : "primary"} disabled=${!isFit} onClick=${commit}>${action}</button>`
    }`;
  return html`<${Dialog} title=${title} onClose=${onClose} actions=${actions}>
    ${typeof children === "function" ? children(problem) : children}
    <div class="rehearsal" aria-live="polite">
      <${ProblemNotice} problem=${problem} />
      ${outcome && !problem && ready && (view ? view(outcome.data) : html`<${OutcomeView} outcome=${outcome} dry=${dry} />`)}
      ${!outcome && !problem && ready && html`<p class="waiting" aria-busy="true">${t(dry ? "rehearsing" : "loading")}</p>`}
    </div>
  <//>`;
}

/**
 * Tries the write out. A bulk write wants to know how many it matches, so they are counted first.
 * @param {Call} call
 * @param {boolean} expects
 * @param {boolean} dry
 * @param {AbortSignal} signal
 * @returns {Promise<Outcome>}
 */
export async function rehearsed(call, expects, dry, signal) {
  const { all: _, ...filter } = call.query ?? {};
  const counted = expects
    ? await run({ method: "GET", path: "/proxies/count", query: { ...filter, by: "node" } }, signal)
    : null;
  const matched = counted?.data.total ?? null;
  if (!dry)
    return {
      matched,
      by_node: (counted?.data.items ?? []).map((/** @type {any} */ one) => ({
        node_id: one.node_id,
        matched: one.count,
      })),
    };
  const query = { ...call.query, dry_run: true, ...(expects ? { expect: matched } : {}) };
  const { data } = await run({ ...call, query }, signal);
  return { matched, by_node: data.by_node ?? [], data };
}

/** @param {{outcome: Outcome, dry: boolean}} props */
export function OutcomeView({ outcome: { matched, by_node: nodes }, dry }) {
  const names = [...new Set(nodes.flatMap(Object.keys))].filter(
    (name) => name !== "node_id" && nodes.some((one) => one[name] > 0),
  );
  const sum = (/** @type {string} */ name) => nodes.reduce((total, one) => total + (one[name] ?? 0), 0);
  const changed = names.reduce((total, name) => total + (name === "matched" ? 0 : sum(name)), 0);
  const counted = dry ? t("rehearsed", { n: matched ?? 0, changed }) : t("rehearsed_count", { n: matched ?? 0 });
  const text = matched !== null ? counted : t("rehearsed_fine");
  if (!dry && matched === null) return null;
  const nothing = t(matched === null ? "rehearsed_no_proxy" : "rehearsed_nothing");
  return html`<p class="rehearsed">${text}${dry && nodes.length === 0 && ` ${nothing}`}</p>
    ${
      names.length > 0 &&
      html`<div class="scrolls"><table class="plain">
      <thead><tr><th>${t("column.node")}</th>${names.map((one) => html`<th class="end" key=${one}>${t(`column.${one}`)}</th>`)}</tr></thead>
      <tbody>${nodes.map(
        (one) => html`<tr key=${one.node_id}><td>${nameOf("nodes", one.node_id)}</td>
          ${names.map((name) => html`<td class="end" key=${name}>${number(one[name])}</td>`)}</tr>`,
      )}</tbody>
      ${nodes.length > 1 && html`<tfoot><tr><td>${t("sum")}</td>${names.map((name) => html`<td class="end" key=${name}>${number(sum(name))}</td>`)}</tr></tfoot>`}
    </table></div>`
    }`;
}
