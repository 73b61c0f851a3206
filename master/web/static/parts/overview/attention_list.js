// The list of what needs attention.
import { ago } from "../../format.js";
import { nameOf } from "../../names.js";
import { link } from "../../router.js";
import { html, useState } from "../../view.js";
import { t } from "../../words.js";
import { Icon } from "../elements/icon.js";
import { ProblemNotice } from "../elements/notice.js";

const IN_SIGHT = 8;

/**
 * @param {{items: import("../../attention.js").Item[], reads: import("../../store.js").Read<any>[]}} props `reads`: what the
 *     items were found in
 */
export function Attention({ items, reads }) {
  const isKnown = reads.every((one) => one.data !== undefined);
  const problem = reads.find((one) => one.problem)?.problem ?? null;
  const [isWhole, setWhole] = useState(false);
  const shown = isWhole ? items : items.slice(0, IN_SIGHT);
  return html`<section class="panel attention"><div class="panel-head"><h2>${t("attention")}</h2>${items.length > 0 && html`<span class="count bad">${items.length}</span>`}</div>
    <${ProblemNotice} problem=${problem} />
    ${items.length === 0 && !problem && html`<p class=${isKnown ? "all-well" : "muted"}>${isKnown && html`<${Icon} name="check" />`}${t(isKnown ? "attention.none" : "attention.looking")}</p>`}
    <ul>${shown.map((one, at) => html`<${Line} key=${`${one.key} ${one.path} ${at}`} item=${one} />`)}</ul>
    ${items.length > IN_SIGHT && html`<button type="button" class="quiet" onClick=${() => setWhole(!isWhole)}>${isWhole ? t("attention.fewer") : t("attention.more", { n: items.length - IN_SIGHT })}</button>`}
  </section>`;
}

/** @param {{item: import("../../attention.js").Item}} props */
function Line({ item: { key, level, values, path, query, detail } }) {
  const words = { ...values };
  if (values.since) words.since = ago(/** @type {string} */ (values.since));
  if (values.node) words.node = nameOf("nodes", /** @type {number} */ (values.node));
  return html`<li class=${level}><i class=${`dot ${level === "bad" ? "failed" : "pending"}`} /><div><a href=${link(path, query)}>${t(`attention.${key}`, words)}</a>${detail && html`<small>${detail}</small>`}</div></li>`;
}
