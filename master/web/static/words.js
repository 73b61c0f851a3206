// Texts in the reader's language by their keys.
import { remembered } from "./prefs.js";
import { effect, signal } from "./view.js";

/** @typedef {Partial<Record<Intl.LDMLPluralRule, string>>} Plural */
/** @typedef {Record<string, string | Plural>} Words */

export const LANGUAGES = { en: "English", ru: "Русский" };
/** @typedef {keyof typeof LANGUAGES} Language */

const preferred = (globalThis.navigator?.languages ?? []).find((one) => one.slice(0, 2) in LANGUAGES);
/** @type {import("@preact/signals").Signal<Language>} */
export const language = remembered("language", /** @type {Language} */ (preferred?.slice(0, 2) ?? "en"));

/** The language whose words are shown; it follows `language` when they are loaded. */
export const shown = signal(language.peek());
/** @type {import("@preact/signals").Signal<Words>} */
const words = signal({});

/** @type {Record<Language, () => Promise<{default: Words}>>} */
const texts = { en: () => import("./words/en.js"), ru: () => import("./words/ru.js") };

/** Loads the texts of the language that is chosen. */
export const loadWords = () => switchTo(language.peek());

/** Shows the page in the language that is chosen, now and whenever another one is. */
export function followLanguage() {
  effect(() => {
    const code = language.value;
    document.documentElement.lang = code;
    if (code !== shown.peek()) void switchTo(code);
  });
}

/** @param {Language} code */
async function switchTo(code) {
  const all = (await texts[code]()).default;
  if (code !== language.peek()) return;
  words.value = all;
  shown.value = code;
}

/** @type {Map<string, Intl.PluralRules>} */
const rules = new Map();
/** @type {Map<string, Intl.NumberFormat>} */
const numbers = new Map();

/** @template T @param {Map<string, T>} map @param {string} key @param {() => T} make @returns {T} */
function kept(map, key, make) {
  let found = map.get(key);
  if (found === undefined) {
    found = make();
    map.set(key, found);
  }
  return found;
}

/**
 * The form for a number. The rules of a language take 20 ms to load, so they wait for the first text that needs them.
 * @param {Plural} forms
 * @param {number} n
 * @param {string} code
 */
function formFor(forms, n, code) {
  const rule = kept(rules, code, () => new Intl.PluralRules(code));
  return forms[rule.select(n)] ?? forms.other ?? "";
}

/**
 * Writes a text out of its forms. `{n}` decides the plural form.
 * @param {string | Plural} text
 * @param {Record<string, unknown>} values
 * @param {string} code
 */
export function written(text, values, code) {
  const form = typeof text === "string" ? text : formFor(text, Number(values.n ?? 0), code);
  return form.replace(/\{(\w+)\}/g, (whole, name) => {
    const value = values[name];
    if (typeof value === "number") return kept(numbers, code, () => new Intl.NumberFormat(code)).format(value);
    return value === undefined ? whole : String(value);
  });
}

/**
 * The text of a key in the reader's language. An unknown key shows itself.
 * @param {string} key
 * @param {Record<string, unknown>} [values]
 */
export function t(key, values = {}) {
  const text = words.value[key];
  return text === undefined ? key : written(text, values, shown.value);
}

/** Whether there is such a text. @param {string} key */
export const isWord = (key) => key in words.value;
