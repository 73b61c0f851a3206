// The footer tells the truth about being live, and holds the switches of theme and language.
import { isReached } from "../../api.js";
import { clock, number, tenths } from "../../format.js";
import { theme } from "../../prefs.js";
import { live } from "../../stream.js";
import { classes, html } from "../../view.js";
import { LANGUAGES, language, t } from "../../words.js";
import { Icon } from "../elements/icon.js";
import { isKeysOpen } from "./keys.js";

/** What the footer says. @param {import("../../stream.js").Live} state @param {boolean} reached */
export function liveText({ state, since, event, lag }, reached) {
  if (state === "cut" || !reached) return t("live.cut", { time: clock(since) });
  if (state !== "live") return t(`live.${state}`);
  return [
    t("live.live"),
    t("live.lag", { lag: tenths(lag / 1000) }),
    event !== null && t("live.event", { event: number(event) }),
  ]
    .filter(Boolean)
    .join(" · ");
}

export function Footer() {
  const state = isReached.value ? live.value.state : "cut";
  const next = { system: "light", light: "dark", dark: "system" }[theme.value] ?? "system";
  return html`<footer class="foot">
    <span class=${classes("live", state)} role="status" aria-live="off"><i class="dot" /><span>${liveText(live.value, isReached.value)}</span></span>
    <span class="gap" />
    <a href="/api">${t("api")}</a>
    <button type="button" class="quiet" onClick=${() => {
      isKeysOpen.value = true;
    }}>${t("keys")} <kbd>?</kbd></button>
    <button type="button" class="quiet" title=${t("theme")} onClick=${() => {
      theme.value = next;
    }}><${Icon} name=${theme.value === "light" ? "sun" : "moon"} />${t(`theme.${theme.value}`)}</button>
    <select aria-label=${t("language")} value=${language.value} onChange=${(/** @type {any} */ event) => {
      language.value = event.target.value;
    }}>${Object.entries(LANGUAGES).map(([code, name]) => html`<option value=${code} key=${code} lang=${code}>${name}</option>`)}</select>
  </footer>`;
}
