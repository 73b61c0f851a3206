// What stands in place of data: refusals, nothing found, and data that is old.
import { ago, number, time } from "../../format.js";
import { nameOf } from "../../names.js";
import { html } from "../../view.js";
import { isWord, t } from "../../words.js";
import { Icon } from "./icon.js";

/** Words for a refusal. @param {import("../../api.js").Problem} problem */
export const problemText = (problem) => {
  if (problem.status === 0) return t("problem.unreachable");
  const known = `problem.${problem.status}`;
  const { wanted, possible } = problem.body ?? {};
  if (wanted !== undefined && possible !== undefined)
    return `${t(known)}: ${t("problem.too_few", { wanted, possible })}`;
  return isWord(known) ? `${t(known)}: ${problem.message}` : problem.message;
};

/** @param {{problem: import("../../api.js").Problem | null}} props */
export function ProblemNotice({ problem }) {
  if (!problem) return null;
  const errors = problem.body?.errors ?? [];
  const nodes = (problem.body?.by_node ?? []).filter((/** @type {any} */ one) => one.reason);
  return html`<div class="notice bad" role="alert">
    <${Icon} name="warning" />
    <div>
      <p>${problemText(problem)}</p>
      ${nodes.length > 0 && html`<ul>${nodes.map((/** @type {any} */ one) => html`<li>${nameOf("nodes", one.node_id)}: ${number(one.possible)}, ${one.reason}</li>`)}</ul>`}
      ${errors.length > 0 && html`<ul>${errors.map((/** @type {any} */ one) => html`<li><code>${one.pointer ?? one.parameter ?? ""}</code> ${one.detail}</li>`)}</ul>`}
    </div>
  </div>`;
}

/** @param {{title: string, children?: any}} props */
export function Empty({ title, children }) {
  return html`<div class="empty"><p class="empty-title">${title}</p>${children}</div>`;
}

/** Says how old data is that could not be read again. @param {{read: import("../../store.js").Read<any>}} props */
export function Stale({ read }) {
  if (!read.problem || read.data === undefined) return null;
  return html`<div class="notice old" role="status">
    <${Icon} name="warning" />
    <p>${t("stale", { time: time(read.at), ago: ago(read.at) })} ${problemText(read.problem)}</p>
  </div>`;
}

/** A reading's state until there is data: nothing for a moment, or the refusal. @param {{read: {problem: import("../../api.js").Problem | null}}} props */
export function Waiting({ read }) {
  if (read.problem) return html`<${ProblemNotice} problem=${read.problem} />`;
  return html`<p class="waiting" aria-busy="true">${t("loading")}</p>`;
}
