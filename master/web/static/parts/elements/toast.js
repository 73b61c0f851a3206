// Short notices in a corner: what was done, and what went wrong where no form can show it.
import { html, signal } from "../../view.js";
import { t } from "../../words.js";
import { CopyCurl } from "./copy.js";
import { Icon } from "./icon.js";

/** @typedef {{id: number, kind: "good" | "bad", text: string, call?: import("../../curl.js").Call}} Toast */

/** @type {import("@preact/signals").Signal<Toast[]>} */
const toasts = signal([]);
const SHOWN_MS = 8_000;
let last = 0;

/**
 * @param {string} text
 * @param {{kind?: "good" | "bad", call?: import("../../curl.js").Call}} [options]
 */
export function toast(text, { kind = "good", call } = {}) {
  const id = ++last;
  toasts.value = [...toasts.value.slice(-3), { id, kind, text, call }];
  setTimeout(() => dismiss(id), SHOWN_MS);
}

/** @param {number} id */
const dismiss = (id) => {
  toasts.value = toasts.value.filter((one) => one.id !== id);
};

export function Toasts() {
  return html`<div class="toasts" role="status" aria-live="polite">
    ${toasts.value.map(
      ({ id, kind, text, call }) => html`<div key=${id} class=${`toast ${kind}`}>
        <span>${text}</span>
        ${call && html`<${CopyCurl} call=${call} />`}
        <button class="quiet icon-only" aria-label=${t("close")} onClick=${() => dismiss(id)}><${Icon} name="close" /></button>
      </div>`,
    )}
  </div>`;
}
