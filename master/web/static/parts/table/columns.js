// Which columns of a table are shown: a person's choice, as far as they fit.
import { remembered } from "../../prefs.js";
import { html } from "../../view.js";
import { t } from "../../words.js";
import { Menu } from "../elements/menu.js";

/**
 * @typedef {object} Column
 * @property {string} key its words are t(`column.${key}`)
 * @property {string} width as in CSS grids
 * @property {(row: any) => any} cell
 * @property {string} [sort] the member by which the API sorts
 * @property {boolean} [end] aligned to the right, as numbers are
 * @property {1 | 2 | 3} [rank] 1: always shown; 2: from 700 px; 3: from 1000 px
 * @property {boolean} [extra] hidden until somebody chooses it
 */

const WIDTHS = { 1: 0, 2: 700, 3: 1000 };

/** @param {string} name of the table @returns {import("@preact/signals").Signal<Record<string, boolean>>} */
const choice = (name) => remembered(`columns.${name}`, /** @type {Record<string, boolean>} */ ({}));

/**
 * The columns that are chosen and fit.
 * @param {string} name
 * @param {Column[]} columns
 * @param {number} width of the table
 */
export function shownColumns(name, columns, width) {
  const chosen = choice(name).value;
  return columns.filter((one) => (chosen[one.key] ?? !one.extra) && width >= WIDTHS[one.rank ?? 2]);
}

/** @param {{name: string, columns: Column[]}} props */
export function ColumnMenu({ name, columns }) {
  const chosen = choice(name);
  const toggle = (/** @type {Column} */ one) => {
    chosen.value = { ...chosen.value, [one.key]: !(chosen.value[one.key] ?? !one.extra) };
  };
  return html`<${Menu} label=${t("columns")} icon="columns" kind="quiet">
    ${columns.slice(1).map(
      (one) => html`<label key=${one.key} class="menu-check">
        <input type="checkbox" checked=${chosen.value[one.key] ?? !one.extra} onChange=${() => toggle(one)} />
        ${t(`column.${one.key}`)}
      </label>`,
    )}
  <//>`;
}
