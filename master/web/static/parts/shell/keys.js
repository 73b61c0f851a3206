// Keys that work everywhere, and the dialogue that lists all of them.
import { go } from "../../router.js";
import { NAVIGATION } from "../../routes.js";
import { html, signal, useEffect } from "../../view.js";
import { t } from "../../words.js";
import { Dialog } from "../elements/dialog.js";
import { isTyping } from "../table/keys.js";
import { isPaletteOpen } from "./palette.js";

export const isKeysOpen = signal(false);
const AFTER_G_MS = 1200;

const PLACES = NAVIGATION.flatMap((group) => group.items).filter((item) => item.key);
const OTHERS = [["j", "k"], ["x"], ["Enter"], ["c"], ["p"], ["/"], ["Ctrl", "K"], ["?"]];

export function useShellKeys() {
  useEffect(() => {
    let gAt = 0;
    const onKey = (/** @type {KeyboardEvent} */ event) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
        event.preventDefault();
        isPaletteOpen.value = !isPaletteOpen.value;
        return;
      }
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event)) return;
      const isAfterG = Date.now() - gAt < AFTER_G_MS;
      gAt = event.key === "g" ? Date.now() : 0;
      const place = isAfterG && PLACES.find((item) => item.key === event.key);
      if (place) go(place.path);
      else if (event.key === "?") isKeysOpen.value = true;
      else return;
      event.preventDefault();
      event.stopImmediatePropagation();
    };
    // Before the keys of a table, which do not know of the g.
    addEventListener("keydown", onKey, { capture: true });
    return () => removeEventListener("keydown", onKey, { capture: true });
  }, []);
}

export function Keys() {
  const close = () => {
    isKeysOpen.value = false;
  };
  return html`<${Dialog} title=${t("keys")} onClose=${close}>
    <dl class="keys">
      ${OTHERS.map((keys) => html`<div key=${keys.join()}><dt>${keys.map((one) => html`<kbd>${one}</kbd> `)}</dt><dd>${t(`key.${keys.join("")}`)}</dd></div>`)}
      ${PLACES.map((item) => html`<div key=${item.path}><dt><kbd>g</kbd> <kbd>${item.key}</kbd></dt><dd>${t(`nav.${item.path}`)}</dd></div>`)}
    </dl>
  <//>`;
}
