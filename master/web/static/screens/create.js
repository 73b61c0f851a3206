// Create proxies: the body on the left; on the right, live, what a dry run of it says.
import { prepared, run } from "../api.js";
import { named } from "../names.js";
import { CopyCurl } from "../parts/elements/copy.js";
import { toast } from "../parts/elements/toast.js";
import { Fields } from "../parts/forms/form.js";
import { Placement, useDryRun } from "../parts/proxies/placement.js";
import { Page } from "../parts/shell/screen.js";
import { go, route } from "../router.js";
import { problemOf } from "../store.js";
import { html, useMemo, useState } from "../view.js";
import { t } from "../words.js";

const FIRST = ["protocol", "tls", "username", "password", "allow_ips", "labels"];
const LATER = ["exit", "limits", "rotation", "destinations", "engine", "enabled"];
const MOST = 100_000;
const WAIT_S = 10;

/** The call for a number of proxies: more than one are a stack. @param {number} count @param {any} body @param {string} name */
function callOf(count, body, name) {
  if (count === 1) return { method: "POST", path: "/proxies", body: name ? { name, ...body } : body };
  return { method: "POST", path: "/stacks", body: { name: name || t("create.example_name"), count, proxy: body } };
}

export default function Create() {
  const given = route.value.query;
  const [count, setCount] = useState(Number(given.count ?? 1));
  const [name, setName] = useState("");
  const [place, setPlace] = useState(/** @type {any} */ (placeOf(given)));
  const [rest, setRest] = useState(/** @type {any} */ ({}));
  const [failed, setFailed] = useState(/** @type {any} */ (null));
  const [isBusy, setBusy] = useState(false);
  const body = { ...place, ...rest };
  const key = JSON.stringify([count, body, name]);
  const call = useMemo(() => prepared({ ...callOf(count, body, name), wait: WAIT_S }), [key]);
  const isPlaced = (place.location_id !== undefined || place.node_ids?.length > 0) && count >= 1;
  const { outcome, problem } = useDryRun(call, isPlaced);
  const isNamed = count === 1 || name.trim() !== "";

  const commit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    setBusy(true);
    setFailed(null);
    try {
      const { data } = await run(call);
      toast(t("create.done", { n: count }), { call });
      go(count === 1 ? `/proxies/${data.id}` : `/stacks/${data.id}`);
    } catch (error) {
      setFailed(problemOf(error));
      setBusy(false);
    }
  };
  const shownProblem = failed ?? problem;
  const fields = (/** @type {string[]} */ only) =>
    html`<${Fields} schema="NewProxy" only=${only} body=${rest} onChange=${setRest} problem=${inner(shownProblem, count)} />`;
  return html`<${Page} title=${t("nav./proxies/create")}>
    <form class="create" onSubmit=${commit}>
      <div class="panel form">
        <${PlaceFields} place=${place} setPlace=${setPlace} />
        <div class="columns-2">
          <div class="field"><label for="count">${t("create.count")}</label>
            <input id="count" type="number" min="1" max=${MOST} value=${count} onInput=${(/** @type {any} */ event) => setCount(Math.max(0, Number(event.target.value)))} />
            <p class="hint">${t("create.count_hint")}</p></div>
          <div class="field"><label for="name">${t(count === 1 ? "create.name" : "create.stack_name")}${count !== 1 && html`<span class="required"> *</span>`}</label>
            <input id="name" type="text" autocomplete="off" required=${count !== 1} value=${name} onInput=${(/** @type {any} */ event) => setName(event.target.value)} /></div>
        </div>
        ${fields(FIRST)}
        <details class="more"><summary>${t("create.more")}</summary><div class="form">${fields(LATER)}</div></details>
      </div>
      <aside class="panel placement" aria-live="polite">
        <h2>${t("create.placement")}</h2>
        <${Placement} outcome=${outcome} problem=${shownProblem} isPlaced=${isPlaced} />
        <div class="form-actions"><${CopyCurl} call=${call} /><span class="gap" />
          <button type="submit" class="primary" disabled=${!isPlaced || !isNamed || !outcome || isBusy}>${t(isBusy ? "create.busy" : "create.action", { n: count })}</button></div>
      </aside>
    </form>
  <//>`;
}

/** Where to, as the address asks for it. @param {Record<string, string | string[]>} query */
function placeOf(query) {
  if (query.location_id) return { location_id: Number(query.location_id) };
  if (query.node_id) return { node_ids: [query.node_id].flat().map(Number) };
  return {};
}

/** Errors of a stack stand below /proxy. @param {any} problem @param {number} count */
const inner = (problem, count) =>
  count === 1 || !problem?.body?.errors
    ? problem
    : {
        body: {
          errors: problem.body.errors.map((/** @type {any} */ one) => ({
            ...one,
            pointer: one.pointer?.replace(/^\/proxy(?=\/)/, ""),
          })),
        },
      };

/** @param {{place: any, setPlace: (place: any) => void}} props */
function PlaceFields({ place, setPlace }) {
  const isNodes = "node_ids" in place;
  const nodes = [...named("nodes").values()];
  const chosen = new Set(place.node_ids ?? []);
  const toggle = (/** @type {number} */ id) => {
    const ids = chosen.has(id) ? [...chosen].filter((one) => one !== id) : [...chosen, id];
    setPlace(ids.length ? { node_ids: ids } : {});
  };
  const pick = (/** @type {string} */ value) =>
    setPlace(value === "nodes" ? { node_ids: [] } : value ? { location_id: Number(value) } : {});
  return html`<div class="field"><label for="where">${t("create.where")}<span class="required"> *</span></label>
    <select id="where" required value=${isNodes ? "nodes" : (place.location_id ?? "")} onChange=${(/** @type {any} */ event) => pick(event.target.value)}>
      <option value="">${t("create.choose")}</option>
      ${[...named("locations").values()].map((one) => html`<option value=${one.id} key=${one.id}>${one.name}</option>`)}
      <option value="nodes">${t("create.nodes")}</option>
    </select>
    ${
      isNodes &&
      html`<div class="choices" role="group" aria-label=${t("create.nodes")}>${nodes.map(
        (one) =>
          html`<label class=${`choice${chosen.has(one.id) ? " chosen" : ""}`} key=${one.id}><input type="checkbox" checked=${chosen.has(one.id)} onChange=${() => toggle(one.id)} />${one.name}</label>`,
      )}</div>`
    }
  </div>`;
}
