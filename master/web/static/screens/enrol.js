// Enrol a node: where it belongs, what to run on its host, the challenge, and each step until a proxy serves.
import { prepared, run } from "../api.js";
import { named } from "../names.js";
import { CopyButton, CopyCurl } from "../parts/elements/copy.js";
import { Fields } from "../parts/forms/form.js";
import { EnrolSteps } from "../parts/nodes/enrol_steps.js";
import { InstallLine } from "../parts/nodes/install_line.js";
import { Page } from "../parts/shell/screen.js";
import { link } from "../router.js";
import { errorsOf } from "../schema.js";
import { problemOf } from "../store.js";
import { html, useMemo, useState } from "../view.js";
import { t } from "../words.js";

const INSTALL =
  "pip install .   # in a checkout of maybe-proxy, in a virtual environment\nNODE_DATA_DIR=/var/lib/maybe-node maybe-node";

export default function Enrol() {
  const [body, setBody] = useState(/** @type {any} */ ({}));
  const [limits, setLimits] = useState(/** @type {any} */ ({}));
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const [node, setNode] = useState(/** @type {any} */ (null));
  const [isBusy, setBusy] = useState(false);
  const key = JSON.stringify(body);
  const call = useMemo(() => prepared({ method: "POST", path: "/nodes", body }), [key]);

  const commit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      const enrolled = (await run(call)).data;
      if (Object.keys(limits).length)
        await run(prepared({ method: "PATCH", path: `/nodes/${enrolled.id}`, body: limits }));
      setNode(enrolled);
    } catch (error) {
      setProblem(problemOf(error));
    }
    setBusy(false);
  };
  const locations = [...named("locations").values()];
  const inputs = {
    "/location_id": (
      /** @type {any} */ { id, name, value, set },
    ) => html`<select id=${id} name=${name} value=${value ?? ""} onChange=${(/** @type {any} */ event) => set(event.target.value ? Number(event.target.value) : undefined)}>
    <option value="">${t("none")}</option>${locations.map((one) => html`<option value=${one.id} key=${one.id}>${one.name}</option>`)}</select>`,
  };
  const form = (/** @type {string[]} */ only) =>
    html`<${Fields} schema="NewNode" only=${only} body=${body} onChange=${setBody} problem=${problem} inputs=${inputs} />`;
  const isReady = body.ip && body.challenge;
  return html`<${Page} title=${t("nav./nodes/enrol")}><p class="explained"><a href=${link("/nodes/invitations")}>${t("invitations.instead")}</a></p><form class="wizard" onSubmit=${commit}>
    <section class="panel"><h2><span class="step-number">1</span>${t("enrol.run")}</h2><p class="muted">${t("enrol.run_text")}</p>
      <${InstallLine} />
      <details class="more"><summary>${t("enrol.by_hand")}</summary><div class="command-box"><pre class="command" tabindex="0">${INSTALL}</pre><${CopyButton} text=${INSTALL} label=${t("enrol.copy")} /></div></details>
      <p class="muted">${t("enrol.prints")}</p></section>
    <section class="panel form"><h2><span class="step-number">2</span>${t("enrol.challenge")}</h2>${form(["ip", "challenge"])}
      <details class="more" open=${Boolean(errorsOf(problem)["/port"])}><summary>${t("enrol.port")}</summary>${form(["port"])}</details></section>
    <section class="panel form"><h2><span class="step-number">3</span>${t("enrol.place")}</h2>${form(["location_id", "name", "labels"])}
      <details class="more"><summary>${t("enrol.limits")}</summary><div class="form"><${Fields} schema="NodePatch" only=${["limits", "exits"]} body=${limits} onChange=${setLimits} /></div></details></section>
    <section class="panel"><div class="panel-head"><h2><span class="step-number">4</span>${t("enrol.go")}</h2><${CopyCurl} call=${call} />
        ${!node && html`<button type="submit" class="primary" disabled=${!isReady || isBusy}>${t(isBusy ? "enrol.busy" : "enrol.action")}</button>`}</div>
      <${EnrolSteps} node=${node} isBusy=${isBusy} problem=${problem} ip=${body.ip} port=${body.port ?? 3006} /></section>
  </form><//>`;
}
