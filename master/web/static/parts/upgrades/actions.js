// What is done to an upgrade that goes on: pause, resume, abort.
import { html, useState } from "../../view.js";
import { t } from "../../words.js";
import { CopyCurl } from "../elements/copy.js";
import { Menu } from "../elements/menu.js";
import { Write } from "../forms/write.js";
import { isOpen } from "./states.js";

/** @type {Record<string, string>} the state that each action asks for */
const STATES = { pause: "paused", resume: "running", abort: "aborted" };

/** @param {{upgrade: any}} props */
export function UpgradeActions({ upgrade }) {
  const [action, setAction] = useState(/** @type {string | null} */ (null));
  const path = `/upgrades/${upgrade.id}`;
  const call = (/** @type {string} */ name) => ({ method: "PATCH", path, body: { state: STATES[name] } });
  const button = (/** @type {string} */ name) =>
    html`<button type="button" onClick=${() => setAction(name)}>${t(`upgrade.${name}`)}</button>`;
  const possible = actionsOf(upgrade);
  return html`${possible.map(button)}
    <${Menu} label=${t("more")}>${possible.map((name) => html`<${CopyCurl} key=${name} call=${call(name)} words=${t(`upgrade.curl_${name}`)} />`)}<${CopyCurl} call=${{ method: "GET", path }} /><//>
    ${
      action &&
      html`<${Write} title=${t(`upgrade.${action}`)} call=${call(action)} text=${t(`upgrade.text_${action}`)} kind="upgrades" action=${t(`upgrade.${action}`)}
        done=${t(`upgrade.done_${action}`)} danger=${action === "abort"} onClose=${() => setAction(null)} />`
    }`;
}

/** @param {any} upgrade @returns {string[]} */
function actionsOf({ state, counts }) {
  if (state === "running") return ["pause", "abort"];
  if (isOpen(state)) return ["resume", "abort"];
  return state === "done" && counts.unreachable > 0 ? ["abort"] : [];
}
