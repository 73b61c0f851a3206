// What this browser remembers: theme, language, density, columns, views and the token.
import { effect, signal } from "./view.js";

const PREFIX = "maybe.";

/** @param {string} name @returns {any} the value, or undefined if there is none or the browser keeps nothing */
function read(name) {
  try {
    const text = localStorage.getItem(PREFIX + name);
    return text === null ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** @param {string} name @param {unknown} value */
function write(name, value) {
  try {
    localStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // The browser keeps nothing: the value lasts as long as the page.
  }
}

/** @type {Map<string, import("@preact/signals").Signal<any>>} */
const known = new Map();

/**
 * A signal that is remembered, and shared with the other tabs.
 * @template T
 * @param {string} name
 * @param {T} initial
 * @returns {import("@preact/signals").Signal<T>}
 */
export function remembered(name, initial) {
  const found = known.get(name);
  if (found) return found;
  const value = signal(read(name) ?? initial);
  known.set(name, value);
  let isFirst = true;
  effect(() => {
    const now = value.value;
    if (!isFirst) write(name, now);
    isFirst = false;
  });
  return value;
}

globalThis.addEventListener?.("storage", (event) => {
  const name = event.key?.startsWith(PREFIX) ? event.key.slice(PREFIX.length) : "";
  const value = known.get(name);
  if (value && event.newValue !== JSON.stringify(value.peek())) value.value = read(name);
});

/** "system", "light" or "dark". */
export const theme = remembered("theme", "system");
/** "compact" or "comfortable": the height of a table's rows. */
export const density = remembered("density", "compact");
/** The label that names a customer. */
export const customerLabel = remembered("customer_label", "customer");

/** Shows the page in the theme that was chosen. */
export function followTheme() {
  effect(() => {
    document.documentElement.dataset.theme = theme.value;
  });
}
