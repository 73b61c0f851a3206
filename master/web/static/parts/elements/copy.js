// Copying: every text that somebody needs elsewhere, and every call as curl.
import { curl } from "../../curl.js";
import { classes, html, useState } from "../../view.js";
import { t } from "../../words.js";
import { Icon } from "./icon.js";

const SHOWN_MS = 1500;

/** Puts a text on the clipboard. The API for that exists in secure contexts only. @param {string | Promise<string>} text */
export async function copy(text) {
  const known = await text;
  if (navigator.clipboard) await navigator.clipboard.writeText(known);
  else copyBySelection(known);
}

/** @param {string} text */
function copyBySelection(text) {
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "offscreen";
  (document.querySelector("dialog[open]") ?? document.body).append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

/**
 * A button that copies a text. `text` may be a function, for what is fetched only when somebody copies it.
 * @param {{text: string | (() => string | Promise<string>), label: string, icon?: string, words?: string | null, quiet?: boolean}} props
 *     `words`: what the button shows beside its icon
 */
export function CopyButton({ text, label, icon = "copy", words = null, quiet = true }) {
  const [done, setDone] = useState(/** @type {boolean | null} */ (null));
  const onClick = async (/** @type {Event} */ event) => {
    event.preventDefault();
    event.stopPropagation();
    const isDone = await Promise.resolve(typeof text === "function" ? text() : text)
      .then(copy)
      .then(
        () => true,
        () => false,
      );
    setDone(isDone);
    setTimeout(() => setDone(null), SHOWN_MS);
  };
  const shown = done === null ? words : t(done ? "copied" : "copy_failed");
  return html`<button
    type="button"
    class=${classes("copy", quiet && "quiet", words === null && "icon-only", done && "done")}
    title=${label}
    aria-label=${words === null ? label : undefined}
    onClick=${onClick}
  >
    <${Icon} name=${done ? "check" : icon} />${words !== null && html`<span>${shown}</span>`}
  </button>`;
}

/** Copies a call as a command line. @param {{call: import("../../curl.js").Call, words?: string | null}} props */
export function CopyCurl({ call, words = t("copy_curl") }) {
  return html`<${CopyButton} text=${() => curl(call, location.origin)} label=${t("copy_curl")} icon="terminal" words=${words} />`;
}
