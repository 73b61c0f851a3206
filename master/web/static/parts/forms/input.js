// The input of one field of a form.
import { labelsOf, labelsText, listOf } from "../../schema.js";
import { classes, html, useState } from "../../view.js";
import { isWord, t } from "../../words.js";

/**
 * @param {{id: string, field: import("../../schema.js").Field, value: any, set: (value: any) => void, described?: string, wrong?: boolean}} props
 */
export function Input({ id, field, value, set, described, wrong }) {
  const common = {
    id,
    name: field.name,
    "aria-describedby": described,
    "aria-invalid": wrong || undefined,
    required: field.required,
  };
  switch (field.kind) {
    case "boolean":
      return html`<input ...${common} type="checkbox" checked=${value ?? field.initial ?? false} onChange=${(/** @type {any} */ event) => set(event.target.checked)} />`;
    case "choice":
      return html`<select ...${common} value=${value ?? field.initial ?? ""} onChange=${(/** @type {any} */ event) => set(event.target.value || undefined)}>
        ${field.initial === undefined && !field.required && html`<option value="">${t("by_default")}</option>`}
        ${field.options.map((one) => html`<option value=${one} key=${one}>${optionText(one)}</option>`)}
      </select>`;
    case "choices":
      return html`<${Choices} id=${id} field=${field} value=${value ?? []} set=${set} described=${described} />`;
    case "list":
      return html`<${Text} ...${common} rows=${2} text=${(value ?? []).join("\n")} read=${(/** @type {string} */ text) => orNothing(listOf(text).map(asNumber(field)))} set=${set} />`;
    case "labels":
      return html`<${Text} ...${common} rows=${2} text=${labelsText(value)} read=${(/** @type {string} */ text) => orNothing(labelsOf(text))} set=${set} placeholder="customer:7" />`;
    case "number":
      return html`<input ...${common} type="number" min=${field.limits.min} max=${field.limits.max} value=${value ?? ""} placeholder=${hinted(field)}
        onInput=${(/** @type {any} */ event) => set(event.target.value === "" ? undefined : Number(event.target.value))} />`;
    case "time":
      return html`<input ...${common} type="datetime-local" value=${localTime(value)} onInput=${(/** @type {any} */ event) => set(event.target.value ? new Date(event.target.value).toISOString() : undefined)} />`;
    default:
      return html`<input ...${common} type="text" maxlength=${field.limits.maxLength} value=${value ?? ""} placeholder=${hinted(field)} autocomplete="off" spellcheck=${false}
        onInput=${(/** @type {any} */ event) => set(event.target.value === "" ? undefined : event.target.value)} />`;
  }
}

/** @param {string} option */
const optionText = (option) => (isWord(`option.${option}`) ? t(`option.${option}`) : option);

/** @param {import("../../schema.js").Field} field */
const hinted = (field) => String(field.initial ?? field.example ?? "");

/** Numbers stay numbers in lists of ids. @param {import("../../schema.js").Field} field */
const asNumber = (field) => (/** @type {string} */ text) =>
  /_ids$/.test(field.name) && /^\d+$/.test(text) ? Number(text) : text;

/** @template T @param {T} value @returns {T | undefined} */
const orNothing = (value) => (Object.keys(/** @type {any} */ (value)).length === 0 ? undefined : value);

/** @param {string | null | undefined} value */
function localTime(value) {
  if (!value) return "";
  const date = new Date(value);
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

/**
 * A text that means something else than it is: while it is typed it stays as it is.
 * @param {{text: string, read: (text: string) => any, set: (value: any) => void, [name: string]: any}} props
 */
function Text({ text, read, set, ...common }) {
  const [typed, setTyped] = useState(/** @type {string | null} */ (null));
  return html`<textarea ...${common} spellcheck=${false} value=${typed ?? text} onBlur=${() => setTyped(null)}
    onInput=${(/** @type {any} */ event) => [setTyped(event.target.value), set(read(event.target.value))]}></textarea>`;
}

/** @param {{id: string, field: import("../../schema.js").Field, value: string[], set: (value: any) => void, described?: string}} props */
function Choices({ id, field, value, set, described }) {
  const toggle = (/** @type {string} */ one) => {
    const next = value.includes(one) ? value.filter((other) => other !== one) : [...value, one];
    set(next.length ? next : undefined);
  };
  return html`<div class="choices" role="group" id=${id} aria-describedby=${described} aria-label=${field.name}>
    ${field.options.map(
      (one) => html`<label key=${one} class=${classes("choice", value.includes(one) && "chosen")}>
        <input type="checkbox" checked=${value.includes(one)} onChange=${() => toggle(one)} />${optionText(one)}</label>`,
    )}
  </div>`;
}
