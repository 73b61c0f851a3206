// What keeps a node from doing what is wanted, and what to do about it.
import { prepared, run } from "../api.js";
import { announce } from "../changes.js";
import { ago, number, time } from "../format.js";
import { problemOf } from "../store.js";
import { html, useState } from "../view.js";
import { t } from "../words.js";
import { CopyCurl } from "./copy.js";
import { Dialog } from "./dialog.js";
import { ProblemNotice } from "./notice.js";
import { toast } from "./toast.js";

/** @param {{node: any}} props */
export function LinkNotice({ node }) {
  const { state, count, reported_at: at, trouble } = node.status;
  if (state === "never_reported")
    return html`<div class="notice warn" role="status"><p>${t("node.never_reported")}</p></div>`;
  return html`${state === "offline" && html`<div class="notice bad" role="status"><p>${t("node.offline", { n: count, since: time(at), ago: ago(at) })}</p></div>`}
    ${trouble && html`<div class="notice bad" role="status"><p>${t("node.troubled")} ${trouble}</p></div>`}`;
}

/** A list that the node holds back: it acts on it when somebody types how many proxies would stop. @param {{node: any}} props */
export function HeldList({ node }) {
  const held = node.status.held;
  const [isOpen, setOpen] = useState(false);
  const [typed, setTyped] = useState("");
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  if (!held) return null;
  const call = { method: "POST", path: `/nodes/${node.id}/sync`, body: { confirm: true } };
  const confirm = async (/** @type {Event} */ event) => {
    event.preventDefault();
    const write = prepared(call);
    try {
      await run(write);
      toast(t("node.held_confirmed"), { call: write });
      announce("nodes", [node.id]);
      setOpen(false);
    } catch (error) {
      setProblem(problemOf(error));
    }
  };
  const actions = html`<${CopyCurl} call=${call} /><span class="gap" /><button type="button" onClick=${() => setOpen(false)}>${t("cancel")}</button>
    <button type="submit" form="held" class="danger" disabled=${typed !== String(held.stops)}>${t("node.held_confirm")}</button>`;
  return html`<div class="notice bad" role="alert"><div><p>${t("node.held", { stops: held.stops, of: held.of })}</p></div>
      <button type="button" onClick=${() => setOpen(true)}>${t("node.held_look")}</button></div>
    ${
      isOpen &&
      html`<${Dialog} title=${t("node.held_title")} onClose=${() => setOpen(false)} actions=${actions}>
      <form id="held" class="form" onSubmit=${confirm}><p>${t("node.held_text", { stops: held.stops, of: held.of })}</p><${ProblemNotice} problem=${problem} />
        <div class="field"><label for="stops">${t("node.held_type", { stops: number(held.stops) })}</label>
          <input id="stops" type="text" inputmode="numeric" autocomplete="off" value=${typed} onInput=${(/** @type {any} */ event) => setTyped(event.target.value)} /></div></form><//>`
    }`;
}
