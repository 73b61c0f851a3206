// Starting an upgrade: it is tried out first, and shows which node would be asked when, and why others are skipped.
import { announce } from "../../changes.js";
import { queryOf, words } from "../../filter.js";
import { go } from "../../router.js";
import { html, useState } from "../../view.js";
import { t } from "../../words.js";
import { Fields } from "../forms/form.js";
import { Rehearsal } from "../forms/rehearsal.js";
import { UpgradeBadge } from "./states.js";

const FIELDS = ["version", "filter", "canary", "batch", "soak_s", "most_failed", "downgrade"];
const ASKED = ["waiting", "unreachable"];

/** @param {{onClose: () => void}} props */
export function StartUpgrade({ onClose }) {
  const [body, setBody] = useState(/** @type {any} */ ({}));
  const onDone = (/** @type {any} */ started) => {
    announce("upgrades");
    go(`/upgrades/${started.id}`);
  };
  return html`<${Rehearsal} title=${t("upgrades.start")} call=${{ method: "POST", path: "/upgrades", body }} expects=${false} action=${t("upgrades.begin")}
    fits=${(/** @type {any} */ found) => asked(found.nodes) > 0} view=${(/** @type {any} */ found) => html`<${Preview} found=${found} />`}
    done=${(/** @type {any} */ started) => t("upgrades.started", { version: started.version })} onClose=${onClose} onDone=${onDone}>
    ${(/** @type {any} */ problem) => html`<p class="explained">${t("upgrades.text")}</p>
      <div class="form columns-2"><${Fields} schema="NewUpgrade" only=${FIELDS} inputs=${INPUTS} body=${body} onChange=${setBody} problem=${problem} /></div>`}
  <//>`;
}

/** @param {any[]} nodes */
const asked = (nodes) => nodes.filter((one) => ASKED.includes(one.state)).length;

/** @param {{found: any}} props */
function Preview({ found }) {
  return html`<p class="rehearsed">${t("upgrades.preview", { n: asked(found.nodes), version: found.version, batch: found.batch_size })}</p>
    <div class="scrolls"><table class="plain"><thead><tr><th class="end">${t("upgrade.place")}</th><th>${t("column.node")}</th><th>${t("upgrade.from")}</th><th>${t("column.state")}</th></tr></thead>
      <tbody>${found.nodes.map(
        (
          /** @type {any} */ node,
        ) => html`<tr key=${node.node_id}><td class="end muted">${node.place}</td><td>${node.name}</td><td class="mono">${node.from_version || "–"}</td>
          <td><${UpgradeBadge} state=${node.state} />${node.reason && html`<small class="upgrade-reason">${node.reason}</small>`}</td></tr>`,
      )}</tbody></table></div>`;
}

/** @typedef {{id: string, value: any, set: (value: any) => void}} InputProps */
/** @param {any} event */
const typedIn = (event) => event.target.value;

/** The inputs of members that have two forms: a number or a share, and the words of the filter bar. */
const INPUTS = {
  "/batch": (
    /** @type {InputProps} */ { id, value, set },
  ) => html`<input id=${id} type="text" autocomplete="off" placeholder="10%" value=${value ?? ""}
    onInput=${(/** @type {any} */ event) => set(batchOf(typedIn(event)))} />`,
  "/filter": (
    /** @type {InputProps} */ { id, set },
  ) => html`<input id=${id} type="text" autocomplete="off" spellcheck=${false} placeholder="location=Frankfurt not.label=tier:gold"
    onInput=${(/** @type {any} */ event) => set(filterOf(typedIn(event)))} />`,
};

/** @param {string} text */
const batchOf = (text) => (/^\d+$/.test(text.trim()) ? Number(text) : text.trim() || undefined);

/** @param {string} text */
function filterOf(text) {
  const query = queryOf(words(text));
  return Object.keys(query).length > 0 ? query : undefined;
}
