// A dialogue for one write, with a form if it has a body to fill in.
import { prepared, run } from "../../api.js";
import { announce } from "../../changes.js";
import { problemOf } from "../../store.js";
import { html, useState } from "../../view.js";
import { t } from "../../words.js";
import { CopyCurl } from "../elements/copy.js";
import { Dialog } from "../elements/dialog.js";
import { ProblemNotice } from "../elements/notice.js";
import { toast } from "../elements/toast.js";
import { Fields } from "./form.js";

/**
 * A dialogue for one write, with a form if it has a body to fill in.
 * @param {{title: string, call: import("../../curl.js").Call & {version?: number}, schema?: string, fields?: string[], current?: any, text?: string,
 *     inputs?: Record<string, any>, kind?: import("../../changes.js").Kind, action: string, done: string, danger?: boolean, typed?: string, onClose: () => void, onDone?: (answer: any) => unknown}} props
 *     `inputs`: as of Fields. `current`: the resource whose values the form shows until they are changed. `kind`: what changes. `typed`: what has
 *     to be typed first. `onDone`: true keeps the dialogue
 */
export function Write({
  title,
  call,
  schema,
  fields,
  inputs,
  current,
  text,
  kind = "proxies",
  action,
  done,
  danger,
  typed,
  onClose,
  onDone,
}) {
  const [body, setBody] = useState(/** @type {any} */ (call.body));
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const [isBusy, setBusy] = useState(false);
  const [word, setWord] = useState("");
  const write = { ...call, ...(body === undefined ? {} : { body }) };
  const commit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    setBusy(true);
    const whole = prepared(write);
    try {
      const { data } = await run(whole);
      toast(done, { call: whole });
      announce(kind);
      if (onDone?.(data) !== true) onClose();
    } catch (error) {
      setProblem(problemOf(error));
      setBusy(false);
    }
  };
  const isIdle =
    (schema !== undefined && Object.keys(body ?? {}).length === 0) || (typed !== undefined && word !== typed);
  const actions = html`<${CopyCurl} call=${prepared(write)} /><span class="gap" /><button type="button" onClick=${onClose}>${t("cancel")}</button>
    <button type="submit" form="write" class=${danger ? "danger" : "primary"} disabled=${isBusy || isIdle}>${action}</button>`;
  return html`<${Dialog} title=${title} onClose=${onClose} actions=${actions} side=${current !== undefined}>
    <form id="write" class="form" onSubmit=${commit}>
      ${text && html`<p>${text}</p>`}
      <${ProblemNotice} problem=${problem} />
      ${schema && html`<${Fields} schema=${schema} only=${fields} inputs=${inputs} body=${body} current=${current} onChange=${setBody} problem=${problem} />`}
      ${
        typed &&
        html`<div class="field"><label for="typed">${t("type_to_confirm", { word: typed })}</label>
        <input id="typed" type="text" autocomplete="off" value=${word} onInput=${(/** @type {any} */ event) => setWord(event.target.value)} /></div>`
      }
    </form>
  <//>`;
}
