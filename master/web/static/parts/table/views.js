// Saved views: filters of a list under names of one's own, kept by this browser.
import { wordsOf } from "../../filter.js";
import { remembered } from "../../prefs.js";
import { address } from "../../query.js";
import { route, setQuery } from "../../router.js";
import { html, useState } from "../../view.js";
import { t } from "../../words.js";
import { Icon } from "../elements/icon.js";
import { Menu } from "../elements/menu.js";

/** @typedef {{name: string, query: import("../../query.js").Query}} View */

const MOST = 20;

/** @param {{name: string}} props of the list */
export function Views({ name }) {
  const views = remembered(`views.${name}`, /** @type {View[]} */ ([]));
  const [typed, setTyped] = useState("");
  const query = route.value.query;
  const here = address("", query);
  const save = (/** @type {Event} */ event) => {
    event.preventDefault();
    if (!typed.trim()) return;
    views.value = [...views.value.filter((one) => one.name !== typed.trim()), { name: typed.trim(), query }].slice(
      -MOST,
    );
    setTyped("");
  };
  return html`<${Menu} label=${t("views")} icon="star" kind="quiet">
    ${views.value.map(
      (one) => html`<div class="menu-row" key=${one.name}>
        <button type="button" aria-current=${address("", one.query) === here} onClick=${() => setQuery(one.query)}>${one.name}</button>
        <button type="button" data-stay class="quiet icon-only" aria-label=${t("view_remove", { name: one.name })}
          onClick=${() => {
            views.value = views.value.filter((other) => other !== one);
          }}><${Icon} name="close" /></button>
      </div>`,
    )}
    ${views.value.length === 0 && html`<p class="menu-note">${t("views_none")}</p>`}
    ${
      wordsOf(query).length > 0 &&
      html`<form class="menu-form" onSubmit=${save}>
      <input type="text" aria-label=${t("view_name")} placeholder=${t("view_name")} maxlength="40" value=${typed} onInput=${(/** @type {any} */ event) => setTyped(event.target.value)} />
      <button type="submit" data-stay disabled=${!typed.trim()}>${t("save")}</button>
    </form>`
    }
  <//>`;
}
