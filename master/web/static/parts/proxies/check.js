// A check of one proxy: now, and what the last one found.
import { prepared, run } from "../../api.js";
import { ago, number, time } from "../../format.js";
import { problemOf } from "../../store.js";
import { html, useState } from "../../view.js";
import { t } from "../../words.js";
import { CopyCurl } from "../elements/copy.js";
import { ProblemNotice } from "../elements/notice.js";

/** @param {{proxy: any}} props */
export function CheckPanel({ proxy }) {
  const [result, setResult] = useState(/** @type {any} */ (null));
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const [isBusy, setBusy] = useState(false);
  const call = { method: "POST", path: `/proxies/${proxy.id}/check`, body: {} };
  const begin = async () => {
    setBusy(true);
    setProblem(null);
    await run(prepared(call)).then(
      (answer) => setResult({ at: new Date().toISOString(), ...answer.data }),
      (error) => setProblem(problemOf(error)),
    );
    setBusy(false);
  };
  const shown = result ?? proxy.last_check;
  return html`<section class="panel">
    <div class="panel-head"><h2>${t("check")}</h2><${CopyCurl} call=${call} words=${null} />
      <button type="button" disabled=${isBusy} onClick=${begin}>${t(isBusy ? "checking" : "check_now")}</button></div>
    <div aria-live="polite">
      <${ProblemNotice} problem=${problem} />
      ${shown ? html`<${CheckResult} check=${shown} />` : html`<p class="muted">${t("check_never")}</p>`}
    </div>
  </section>`;
}

/** @param {{check: any}} props */
export function CheckResult({ check }) {
  return html`<p class="check-result"><span class=${`badge ${check.ok ? "ok" : "error"}`}>${t(check.ok ? "check_ok" : "check_failed")}</span> <small title=${time(check.at)}>${ago(check.at)}</small></p>
    <dl class="facts">
      ${check.latency_ms != null && html`<dt>${t("latency")}</dt><dd>${number(Math.round(check.latency_ms))} ms</dd>`}
      ${check.exit_ip && html`<dt>${t("exit_ip")}</dt><dd class="mono">${check.exit_ip}</dd>`}
      ${check.step && html`<dt>${t("step")}</dt><dd>${check.step}</dd>`}
      ${check.reason && html`<dt>${t("reason")}</dt><dd>${check.reason}</dd>`}
    </dl>`;
}
