// Links: secret addresses at which customers read or rotate their proxies.

import { filterOf, queryOf, text, words as wordsIn, wordsOf } from "../filter.js";
import { ago, number, time } from "../format.js";
import { NewLinkDialog } from "../parts/customers/link_dialog.js";
import { Empty, Stale, Waiting } from "../parts/elements/notice.js";
import { Write } from "../parts/forms/write.js";
import { Page } from "../parts/shell/screen.js";
import { link, route } from "../router.js";
import { useRead } from "../store.js";
import { html, useState } from "../view.js";
import { t } from "../words.js";

const KINDS = ["list", "rotate"];
/** A link that rotates needs to know what; the form leaves out what its kind does not take. */
const FIELDS = {
  list: ["format", "template", "min_interval_s", "expires_at"],
  rotate: ["rotate", "min_interval_s", "expires_at"],
};

export default function Links() {
  const read = useRead("/links", { limit: 1000 }, { on: ["links", "events"], every: 30, pause: 3000 });
  const [kind, setKind] = useState(/** @type {"list" | "rotate" | null} */ (null));
  const [gone, setGone] = useState(/** @type {any} */ (null));
  const filter = filterOf(route.value.query);
  const buttons = KINDS.map(
    (one, at) =>
      html`<button type="button" key=${one} class=${at === 0 ? "primary" : ""} onClick=${() => setKind(/** @type {any} */ (one))}>${t(`links.create_${one}`)}</button>`,
  );
  return html`<${Page} title=${t("nav./links")} actions=${buttons}>
    <${Stale} read=${read} />
    ${
      !read.data
        ? html`<${Waiting} read=${read} />`
        : read.data.items.length === 0
          ? html`<${Empty} title=${t("links.none")}><p>${t("links.none_text")}</p><div class="bar">${buttons}</div><//>`
          : html`<section class="panel"><div class="scrolls" tabindex="0" role="region" aria-label=${t("nav./links")}><${LinkTable} items=${read.data.items} onRemove=${setGone} /></div></section>`
    }
    ${
      kind &&
      html`<${NewLinkDialog} title=${t(`links.create_${kind}`)} text=${t("links.create_text")} fields=${["filter", ...FIELDS[kind]]} inputs=${{ "/filter": FilterInput }}
        body=${{ kind, ...(Object.keys(filter).length ? { filter } : {}), ...(kind === "rotate" ? { rotate: { what: ["credentials"] } } : {}) }} onClose=${() => setKind(null)} />`
    }
    ${
      gone &&
      html`<${Write} title=${t("links.remove")} call=${{ method: "DELETE", path: `/links/${gone.id}` }} text=${t("links.remove_text", { id: gone.id })} kind="links"
        action=${t("delete")} done=${t("links.removed")} danger onClose=${() => setGone(null)} />`
    }
  <//>`;
}

/** @param {{items: any[], onRemove: (one: any) => void}} props */
function LinkTable({ items, onRemove }) {
  return html`<table class="plain">
    <thead><tr><th>${t("links.id")}</th><th>${t("links.kind")}</th><th>${t("nav./proxies")}</th><th>${t("links.form")}</th><th>${t("links.interval")}</th>
      <th>${t("links.used")}</th><th>${t("column.expires")}</th><th><span class="offscreen">${t("action")}</span></th></tr></thead>
    <tbody>${items.map(
      (one) => html`<tr key=${one.id}><td>${String(one.id)}</td><td>${t(`links.${one.kind}`)}</td>
        <td><a href=${link("/proxies", one.filter)}>${filterText(one.filter) || t("links.all")}</a></td>
        <td>${one.kind === "rotate" ? one.rotate.what.map((/** @type {string} */ part) => t(`part.${part}`)).join(", ") : (one.template ?? one.format)}</td>
        <td>${one.min_interval_s > 0 ? t("links.seconds", { n: one.min_interval_s, shown: number(one.min_interval_s) }) : "–"}</td>
        <td title=${time(one.used_at)}>${one.used_at ? ago(one.used_at) : t("links.never")}</td>
        <td title=${time(one.expires_at)} class=${isOver(one) ? "bad-text" : ""}>${one.expires_at ? ago(one.expires_at) : "–"}</td>
        <td class="end"><button type="button" class="quiet" onClick=${() => onRemove(one)}>${t("delete")}</button></td></tr>`,
    )}</tbody>
  </table>`;
}

/** The filter as it is typed in lists. @param {{id: string, value: any, set: (value: any) => void}} props */
const FilterInput = ({ id, value, set }) =>
  html`<input id=${id} type="text" class="mono" spellcheck=${false} defaultValue=${filterText(value ?? {})} placeholder="label=customer:7 state=running"
    onInput=${(/** @type {any} */ event) => set(filterBody(event.target.value))} />`;

/** @param {string} typed */
function filterBody(typed) {
  const query = queryOf(wordsIn(typed));
  return Object.keys(query).length ? query : undefined;
}

/** @param {any} one */
const isOver = (one) => one.expires_at !== null && Date.parse(one.expires_at) <= Date.now();

/** @param {Record<string, any>} filter */
const filterText = (filter) => wordsOf(filter).map(text).join(" ");
