// The steps of an enrolment: reached, proved, configured, first login, first report, then a proxy that is tried out.
import { prepared, run } from "../../api.js";
import { link } from "../../router.js";
import { problemOf, useResource } from "../../store.js";
import { html, useEffect, useState } from "../../view.js";
import { t } from "../../words.js";
import { Icon } from "../elements/icon.js";
import { ProblemNotice, problemText } from "../elements/notice.js";
import { CheckResult } from "../proxies/check.js";

/** @typedef {"done" | "busy" | "failed" | "waiting"} StepState */

const STEPS = ["reached", "proved", "configured", "reported"];
/** Which step a refusal concerns, by its type. @type {Record<string, string>} */
const FAILED_AT = {
  "node-unreachable": "reached",
  "node-too-slow": "reached",
  "node-refused": "proved",
  "challenge-used": "proved",
  "broker-away": "configured",
};
const TEST_WAIT_S = 20;

/** @param {{node: any, isBusy: boolean, problem: any, ip?: string, port: number}} props */
export function EnrolSteps({ node, isBusy, problem, ip, port }) {
  const kind =
    String(problem?.body?.type ?? "")
      .split("/")
      .at(-1) ?? "";
  const failedAt = FAILED_AT[kind];
  if (node) return html`<${Enrolled} id=${node.id} />`;
  return html`<ol class="steps">${STEPS.map((step) => html`<${Step} key=${step} words=${t(`enrol.${step}`)} state=${stateOf(step, isBusy, failedAt)} />`)}</ol>
    ${problem && !failedAt && html`<${ProblemNotice} problem=${problem} />`}
    ${failedAt && html`<div class="notice bad" role="alert"><div><p>${problemText(problem)}</p><p>${t(`enrol.advice_${kind}`, { ip: ip ?? "", port })}</p></div></div>`}`;
}

/** @param {string} step @param {boolean} isBusy @param {string | undefined} failedAt @returns {StepState} */
function stateOf(step, isBusy, failedAt) {
  if (failedAt)
    return step === failedAt ? "failed" : STEPS.indexOf(step) < STEPS.indexOf(failedAt) ? "done" : "waiting";
  return isBusy && step === STEPS[0] ? "busy" : "waiting";
}

/** @param {{words: string, state: StepState}} props */
function Step({ words, state }) {
  return html`<li class=${state}><span class="step-mark" aria-hidden="true">${state === "done" ? html`<${Icon} name="check" />` : state === "failed" ? html`<${Icon} name="close" />` : ""}</span>
    <span>${words}</span><small>${t(`enrol.is_${state}`)}</small></li>`;
}

/** @param {{id: number}} props */
function Enrolled({ id }) {
  const read = useResource("nodes", id);
  const state = read.data?.status.state;
  const [test, setTest] = useState(
    /** @type {{state: StepState, check?: any, problem?: any, proxy?: number}} */ ({ state: "waiting" }),
  );
  const isOnline = state === "online";
  useEffect(() => {
    if (isOnline) return;
    const timer = setInterval(() => void read.refresh(), 2000);
    return () => clearInterval(timer);
  }, [isOnline]);
  const begin = async () => {
    setTest({ state: "busy" });
    try {
      const { data: proxy } = await run(
        prepared({
          method: "POST",
          path: "/proxies",
          body: { node_ids: [id], labels: { test: "enrolment" } },
          wait: TEST_WAIT_S,
        }),
      );
      setTest({ state: "busy", proxy: proxy.id });
      const { data: check } = await run(prepared({ method: "POST", path: `/proxies/${proxy.id}/check`, body: {} }));
      setTest({
        state: check.ok ? "done" : "failed",
        check: { at: new Date().toISOString(), ...check },
        proxy: proxy.id,
      });
    } catch (error) {
      setTest({ state: "failed", problem: problemOf(error) });
    }
  };
  return html`<ol class="steps">${STEPS.map((step) => html`<${Step} key=${step} words=${t(`enrol.${step}`)} state=${step === "reported" && !isOnline ? "busy" : "done"} />`)}
      <${Step} words=${t("enrol.tested")} state=${test.state} /></ol>
    ${test.check && html`<${CheckResult} check=${test.check} />`}<${ProblemNotice} problem=${test.problem ?? null} />
    <div class="form-actions">${test.proxy && html`<a href=${link(`/proxies/${test.proxy}`)}>${t("enrol.test_proxy")}</a>`}<span class="gap" />
      <button type="button" disabled=${!isOnline || test.state === "busy"} onClick=${begin}>${t("enrol.test")}</button>
      <a class="button primary" href=${link(`/nodes/${id}`)}>${t("enrol.to_node")}</a></div>`;
}
