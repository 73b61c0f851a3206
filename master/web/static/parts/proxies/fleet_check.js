// Checks of many proxies: each through its real data path, with the steps that failed.
import { prepared, run } from "../../api.js";
import { number } from "../../format.js";
import { link } from "../../router.js";
import { problemOf, useRead } from "../../store.js";
import { html, useState } from "../../view.js";
import { t } from "../../words.js";
import { CopyCurl } from "../elements/copy.js";
import { Dialog } from "../elements/dialog.js";
import { ProblemNotice } from "../elements/notice.js";

const MOST = 500;

/** @param {{title: string, call: import("../../curl.js").Call, onClose: () => void}} props */
export function FleetCheck({ title, call, onClose }) {
  const { all: _, ...filter } = call.query ?? {};
  const counted = useRead("/proxies/count", filter);
  const [result, setResult] = useState(/** @type {any} */ (null));
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const [isBusy, setBusy] = useState(false);
  const n = counted.data?.total;
  const check = { ...call, query: { ...call.query, expect: n } };
  const begin = async () => {
    setBusy(true);
    await run(prepared(check)).then(
      (answer) => setResult(answer.data),
      (error) => setProblem(problemOf(error)),
    );
    setBusy(false);
  };
  const actions = html`<${CopyCurl} call=${check} /><span class="gap" /><button type="button" onClick=${onClose}>${t("close")}</button>
    <button type="button" class="primary" disabled=${!n || n > MOST || isBusy} onClick=${begin}>${t("proxies.check")}</button>`;
  const failures = (result?.items ?? []).filter((/** @type {any} */ one) => !one.check.ok);
  return html`<${Dialog} title=${title} onClose=${onClose} actions=${actions}>
    <p class="explained">${t("proxies.check_text")}</p>
    <p class="rehearsed" aria-live="polite">${result ? t("checked", { ok: result.ok, failed: result.failed }) : n > MOST ? t("too_many", { most: MOST }) : n !== undefined && t("rehearsed_count", { n })}</p>
    ${isBusy && html`<p class="waiting" aria-busy="true">${t("checking")}</p>`}
    <${ProblemNotice} problem=${problem ?? counted.problem} />
    ${
      failures.length > 0 &&
      html`<div class="scrolls"><table class="plain"><thead><tr><th>${t("kind.proxy")}</th><th>${t("step")}</th><th>${t("reason")}</th></tr></thead>
      <tbody>${failures.map(
        (/** @type {any} */ one) =>
          html`<tr key=${one.proxy_id}><td><a href=${link(`/proxies/${one.proxy_id}`)}>${number(one.proxy_id)}</a></td><td>${one.check.step}</td><td>${one.check.reason}</td></tr>`,
      )}</tbody></table></div>`
    }
  <//>`;
}
