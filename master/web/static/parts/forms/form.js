// Forms out of the OpenAPI document: descriptions, limits and choices are those of the API.
import { apiDocument } from "../../api.js";
import { onChanges } from "../../changes.js";
import { changed, errorsOf, fieldsOf, patchOf, shownValue, valueAt } from "../../schema.js";
import { problemOf } from "../../store.js";
import { classes, html, useEffect, useState } from "../../view.js";
import { isWord, t } from "../../words.js";
import { Waiting } from "../elements/notice.js";
import { Input } from "./input.js";

/** @typedef {import("../../schema.js").Field} Field */

/**
 * The fields of a request body, once the document is there; null until then.
 * @param {string} schema
 */
function useFields(schema) {
  const [read, setRead] = useState({
    fields: /** @type {Field[] | null} */ (null),
    problem: /** @type {any} */ (null),
  });
  useEffect(() => {
    let isWanted = true;
    const begin = () =>
      apiDocument().then(
        (document) => {
          if (isWanted) setRead({ fields: fieldsOf(document, schema), problem: null });
          isWanted = false;
        },
        (error) => isWanted && setRead({ fields: null, problem: problemOf(error) }),
      );
    void begin();
    // Also when the stream is back after the master was away.
    const end = onChanges(() => isWanted && void begin());
    return () => {
      isWanted = false;
      end();
    };
  }, [schema]);
  return read;
}

/**
 * Fields of a body.
 * @param {{schema: string, body: any, current?: any, onChange: (body: any) => void, problem?: any, only?: string[], without?: string[],
 *     inputs?: Record<string, ((props: {id: string, name: string, value: any, set: (value: any) => void}) => any) | null>}} props
 *     `current`: what is shown until it is changed. `only`: these members, in this order. `inputs`: what stands in place of the usual input, by pointer; null: nothing does
 */
export function Fields({ schema, body, current, onChange, problem, only, without = [], inputs = {} }) {
  const { fields: all, problem: away } = useFields(schema);
  if (!all) return html`<${Waiting} read=${{ problem: away }} />`;
  const errors = errorsOf(problem);
  const chosen = only ? only.flatMap((name) => all.filter((one) => one.name === name)) : all;
  const set = (/** @type {string} */ pointer, /** @type {any} */ value) => onChange(changed(body, pointer, value));
  const shown = chosen.filter((one) => !without.includes(one.name));
  return html`${shown.map((one) => html`<${FieldView} key=${one.pointer} field=${one} body=${body} current=${current} set=${set} errors=${errors} inputs=${inputs} />`)}`;
}

/** @param {{field: Field, body: any, current?: any, set: (pointer: string, value: any) => void, errors: Record<string, string>, inputs: Record<string, any>}} props */
function FieldView({ field, body, current, set, errors, inputs }) {
  const { pointer, name, kind, required } = field;
  const own = inputs[pointer];
  if (own === null) return null;
  if (kind === "group" && !own) {
    return html`<fieldset class="group"><legend>${label(field)}</legend>
      ${field.fields.map((one) => html`<${FieldView} key=${one.pointer} field=${one} body=${body} current=${current} set=${set} errors=${errors} inputs=${inputs} />`)}
    </fieldset>`;
  }
  const id = `field${pointer.replaceAll("/", "-")}`;
  const former = valueAt(current, pointer);
  const value = shownValue(kind, valueAt(body, pointer), former);
  const error = errors[pointer] ?? Object.entries(errors).find(([where]) => where.startsWith(`${pointer}/`))?.[1];
  const change = (/** @type {any} */ next) => set(pointer, patchOf(field, next, former));
  const hint = hintOf(field);
  const described = classes(hint && `${id}-hint`, error && `${id}-error`) || undefined;
  return html`<div class=${classes("field", `field-${kind}`, error && "wrong")} data-field=${name}>
    <label for=${id}>${label(field)}${required && html`<span class="required" title=${t("required")}> *</span>`}</label>
    ${own ? own({ id, name, value, set: change }) : html`<${Input} id=${id} field=${field} value=${value} set=${change} described=${described} wrong=${Boolean(error)} />`}
    ${error && html`<p class="error" id=${`${id}-error`}>${error}</p>`}
    ${hint && html`<p class="hint" id=${`${id}-hint`}>${hint.split("`").map((part, at) => (at % 2 ? html`<code>${part}</code>` : part))}</p>`}
  </div>`;
}

/** @param {Field} field */
const label = ({ pointer, name }) => {
  const exact = `field${pointer}`;
  return t(isWord(exact) ? exact : isWord(`field/${name}`) ? `field/${name}` : name);
};

/** The API's own description, or its translation. @param {Field} field */
const hintOf = ({ pointer, name, description }) => {
  const found = [`hint${pointer}`, `hint/${name}`].find(isWord);
  return found ? t(found) : description;
};
