// A time to go to, as people know it: in their own time zone.
import { html, useState } from "../../view.js";

/** The value of an input for a time. @param {string | null | undefined} at */
export function localTime(at) {
  const date = new Date(at ?? "");
  return Number.isNaN(date.getTime())
    ? ""
    : new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}

/** @param {string} local @returns {string | undefined} */
export const instant = (local) => (local ? new Date(local).toISOString().replace(".000Z", "Z") : undefined);

/** @param {{label: string, action: string, onPick: (at: string) => void}} props */
export function WhenInput({ label, action, onPick }) {
  const [typed, setTyped] = useState("");
  const pick = (/** @type {Event} */ event) => {
    event.preventDefault();
    const at = instant(typed);
    if (at) onPick(at);
  };
  return html`<form class="when" onSubmit=${pick}><input type="datetime-local" step="1" aria-label=${label} title=${label} value=${typed} onInput=${(/** @type {any} */ event) => setTyped(event.target.value)} />
    <button type="submit" disabled=${!typed}>${action}</button></form>`;
}
