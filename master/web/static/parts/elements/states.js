// States: a badge for one, a bar and links for many. Colour never stands alone.
import { number } from "../../format.js";
import { link } from "../../router.js";
import { html } from "../../view.js";
import { t } from "../../words.js";

/** The states of a proxy in the order of urgency. */
export const PROXY_STATES = ["failed", "unknown", "pending", "limited", "expired", "stopped", "running"];

/** @param {{state: string, title?: string}} props */
export function Badge({ state, title }) {
  return html`<span class=${`badge ${state}`} title=${title}>${t(`state.${state}`)}</span>`;
}

/**
 * A bar of states, in proportion.
 * @param {{counts: Record<string, number>, order?: string[]}} props
 */
export function StateBar({ counts, order = PROXY_STATES }) {
  const present = order.filter((state) => counts[state] > 0);
  const all = present.reduce((sum, state) => sum + counts[state], 0);
  const words = present.map((state) => `${t(`state.${state}`)} ${number(counts[state])}`).join(", ");
  return html`<span class="state-bar" role="img" aria-label=${words || t("none")} title=${words}>
    ${present.map((state) => html`<i key=${state} class=${state} style=${{ flexGrow: counts[state] / all }} />`)}
  </span>`;
}

/**
 * Counts of states as links to the rows.
 * @param {{counts: Record<string, number>, order?: string[], path: string, query?: import("../../query.js").Query}} props
 */
export function StateLinks({ counts, order = PROXY_STATES, path, query = {} }) {
  const present = order.filter((state) => counts[state] > 0);
  return html`<ul class="state-links">
    ${present.map(
      (state) => html`<li key=${state}><a href=${link(path, { ...query, state })}>
        <i class=${`dot ${state}`} />${t(`state.${state}`)} <b>${number(counts[state])}</b></a></li>`,
    )}
  </ul>`;
}

/** Sums items of a count by one member. @param {{count: number}[] | undefined} items @param {string} member */
export function tallied(items, member) {
  /** @type {Record<string, number>} */
  const found = {};
  for (const item of items ?? []) {
    const key = String(/** @type {any} */ (item)[member]);
    found[key] = (found[key] ?? 0) + item.count;
  }
  return found;
}
