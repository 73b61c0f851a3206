// Fields of a form, out of the schema of a request body in the OpenAPI document. Pure.

/**
 * @typedef {object} Field
 * @property {string} name
 * @property {string} pointer where the API reports an error of it (RFC 6901)
 * @property {"text" | "number" | "boolean" | "choice" | "choices" | "list" | "labels" | "time" | "group"} kind
 * @property {boolean} required
 * @property {boolean} nullable
 * @property {string} description
 * @property {string[]} options of a choice
 * @property {Field[]} fields of a group
 * @property {any} initial the default
 * @property {any} example
 * @property {{min?: number, max?: number, maxLength?: number}} limits
 */

/** @param {any} document @param {any} schema */
function resolved(document, schema) {
  const reference = schema?.$ref;
  return reference
    ? { ...document.components.schemas[reference.split("/").at(-1)], ...without(schema, "$ref") }
    : schema;
}

/** @param {any} object @param {string} name */
const without = (object, name) => Object.fromEntries(Object.entries(object).filter(([key]) => key !== name));

/**
 * The fields of a body.
 * @param {any} document
 * @param {string} name of the schema, as in "NewProxy"
 * @returns {Field[]}
 */
export const fieldsOf = (document, name) => properties(document, document.components.schemas[name], "");

/** @param {any} document @param {any} schema @param {string} above @returns {Field[]} */
function properties(document, schema, above) {
  return Object.entries(schema.properties ?? {}).map(([name, given]) =>
    field(document, name, given, `${above}/${name}`, (schema.required ?? []).includes(name)),
  );
}

/** @param {any} document @param {string} name @param {any} given @param {string} pointer @param {boolean} required @returns {Field} */
function field(document, name, given, pointer, required) {
  const options = (given.anyOf ?? [given]).map((/** @type {any} */ one) => resolved(document, one));
  const schema = options.find((/** @type {any} */ one) => one.type !== "null") ?? {};
  const kind = kindOf(schema);
  return {
    name,
    pointer,
    kind,
    required,
    nullable: options.some((/** @type {any} */ one) => one.type === "null"),
    description: given.description ?? schema.description ?? "",
    options: (schema.enum ?? choicesOf(schema) ?? []).map(String),
    fields: kind === "group" ? properties(document, schema, pointer) : [],
    initial: given.default,
    example: (given.examples ?? schema.examples ?? [])[0],
    limits: { min: schema.minimum, max: schema.maximum, maxLength: schema.maxLength },
  };
}

/** What a list may hold, if that is limited. @param {any} schema @returns {unknown[] | undefined} */
const choicesOf = ({ items }) => items?.enum ?? (items?.const === undefined ? undefined : [items.const]);

/** @param {any} schema @returns {Field["kind"]} */
function kindOf(schema) {
  if (schema.properties) return "group";
  if (schema.type === "object") return "labels";
  if (schema.type === "array") return choicesOf(schema) ? "choices" : "list";
  if (schema.type === "boolean") return "boolean";
  if (schema.type === "integer" || schema.type === "number") return "number";
  if (schema.enum) return "choice";
  return schema.format === "date-time" ? "time" : "text";
}

/**
 * Changes one value of a body. `undefined` omits the member, and an empty group goes with its last member.
 * @param {any} body
 * @param {string} pointer
 * @param {unknown} value
 * @returns {any}
 */
export function changed(body, pointer, value) {
  const [name, ...rest] = pointer.slice(1).split("/");
  const inner = rest.length ? changed(body?.[name] ?? {}, `/${rest.join("/")}`, value) : value;
  const isEmpty = inner === undefined || (rest.length > 0 && Object.keys(inner).length === 0);
  return isEmpty ? without(body ?? {}, name) : { ...body, [name]: inner };
}

/** @param {any} body @param {string} pointer */
export const valueAt = (body, pointer) =>
  pointer
    .slice(1)
    .split("/")
    .reduce((value, name) => value?.[name], body);

/** Items of a list as they are typed: separated by spaces, commas or lines. @param {string} text */
export const listOf = (text) => text.split(/[\s,]+/).filter(Boolean);

/** Labels as they are typed: `key:value` or `key=value`, one a line or separated by commas. @param {string} text @returns {Record<string, string | null>} */
export const labelsOf = (text) =>
  Object.fromEntries(
    text
      .split(/[\n,]+/)
      .map((one) => /^\s*([^:=\s]+)\s*[:=]\s*(.*?)\s*$/.exec(one))
      .filter((one) => one !== null)
      .map(([, key, value]) => [key, value === "null" ? null : value]),
  );

/** @param {Record<string, string | null> | undefined} labels */
export const labelsText = (labels) =>
  Object.entries(labels ?? {})
    .map(([key, value]) => `${key}:${value}`)
    .join("\n");

/** Errors of a problem document by the field that they concern. @param {any} problem @returns {Record<string, string>} */
export const errorsOf = (problem) =>
  Object.fromEntries(
    (problem?.body?.errors ?? [])
      .filter((/** @type {any} */ one) => one.pointer)
      .map((/** @type {any} */ one) => [one.pointer.replace(/^#/, ""), one.detail]),
  );

/**
 * What a field shows: what is to change, or what there is.
 * @param {Field["kind"]} kind
 * @param {any} patch
 * @param {any} former
 */
export function shownValue(kind, patch, former) {
  if (kind !== "labels") return patch === undefined ? former : patch;
  return Object.fromEntries(Object.entries({ ...former, ...patch }).filter(([, value]) => value !== null));
}

/**
 * What a merge patch says when a field gets a value: null or an empty list takes back what there was.
 * @param {Field} field
 * @param {any} next undefined: the field was emptied
 * @param {any} former
 */
export function patchOf({ kind, nullable }, next, former) {
  if (former === undefined || former === null) return next;
  if (kind === "labels") {
    const gone = Object.keys(former).filter((key) => !(key in (next ?? {})));
    const news = Object.entries(next ?? {}).filter(([key, value]) => former[key] !== value);
    const patch = Object.fromEntries([...news, ...gone.map((key) => [key, null])]);
    return Object.keys(patch).length ? patch : undefined;
  }
  if (next === undefined) return kind === "list" ? [] : nullable ? null : undefined;
  return JSON.stringify(next) === JSON.stringify(former) ? undefined : next;
}
