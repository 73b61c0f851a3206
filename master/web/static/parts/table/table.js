// A table of any length: only the rows that are seen are in the document, and pages are read as one scrolls.

import { number } from "../../format.js";
import { density } from "../../prefs.js";
import { extended, has, page, toggled } from "../../selection.js";
import { classes, html, useEffect, useLayoutEffect, useRef, useState } from "../../view.js";
import { t } from "../../words.js";
import { Empty, ProblemNotice } from "../elements/notice.js";
import { shownColumns } from "./columns.js";
import { useTableKeys } from "./keys.js";

/** @typedef {import("./columns.js").Column} Column */
/** @typedef {import("../../list.js").Row} Row */

const HEIGHTS = { compact: 30, comfortable: 40 };
const BEYOND = 8;
const HEAD = 32;
/** @type {Record<string, string>} */
const ARROWS = { ascending: " ↑", descending: " ↓" };

/**
 * @typedef {object} TableProps
 * @property {string} name under which its columns are remembered; `label` names it for readers
 * @property {string} label
 * @property {import("../../list.js").List} list
 * @property {Column[]} columns
 * @property {(row: any) => void} [onOpen] what Enter and a click do
 * @property {(row: any) => unknown} [onCopy] what c does
 * @property {import("@preact/signals").Signal<import("../../selection.js").Selection>} [selection] without it nothing can be selected
 * @property {string} [sort]
 * @property {(sort: string) => void} [onSort]
 * @property {any} [empty] what stands there when there are no rows
 */

/** @param {TableProps} props */
export function Table(props) {
  const { name, label, list, columns, selection, empty } = props;
  const { rows, loading, complete, total, problem } = list.state.value;
  const box = useRef(/** @type {HTMLDivElement | null} */ (null));
  const [view, setView] = useState({ top: 0, height: 600, width: 1000 });
  const height = HEIGHTS[/** @type {keyof typeof HEIGHTS} */ (density.value)] ?? HEIGHTS.compact;
  const shown = shownColumns(name, columns, view.width);
  const first = Math.max(0, Math.floor(view.top / height) - BEYOND);
  const last = Math.min(rows.length, Math.ceil((view.top + view.height) / height) + BEYOND);
  const [active, setActive] = useTableKeys(props, box, rows, height, HEAD);

  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    const measure = () => setView({ top: element.scrollTop, height: element.clientHeight, width: element.clientWidth });
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    element.addEventListener("scroll", measure, { passive: true });
    return () => {
      observer.disconnect();
      element.removeEventListener("scroll", measure);
    };
  }, []);
  useEffect(() => {
    if (rows.length > 0 && !problem && last > rows.length - 40) list.more();
  }, [last, rows.length, complete, loading]);
  useEffect(() => {
    if (box.current) box.current.scrollTop = 0;
  }, [list]);
  const former = useRef(rows[0]?.id);
  useLayoutEffect(() => {
    // Rows that come in above do not move the ones that somebody reads.
    const above = rows.findIndex((row) => row.id === former.current);
    former.current = rows[0]?.id;
    if (box.current && above > 0 && box.current.scrollTop > 0) box.current.scrollTop += above * height;
  }, [rows]);

  const template = [...(selection ? ["20px"] : []), ...shown.map((one) => one.width)].join(" ");
  const isActiveSeen = rows.slice(first, last).some((row) => row.id === active);
  return html`<div class=${classes("table-box", rows.length === 0 && "is-empty")}>
    <div class="table" role="grid" tabindex="0" ref=${box} aria-label=${label} aria-busy=${loading}
      aria-rowcount=${(total ?? (complete ? rows.length : -2)) + 1} aria-multiselectable=${selection ? true : undefined}
      aria-activedescendant=${isActiveSeen ? `${name}-${active}` : undefined} style=${{ "--columns": template, "--row": `${height}px` }}>
      <${Head} ...${props} shown=${shown} rows=${rows} />
      <div class="table-body" role="rowgroup" style=${{ height: `${rows.length * height}px` }}>
        <div role="none" style=${{ transform: `translateY(${first * height}px)` }}>
          ${rows.slice(first, last).map(
            (row, at) => html`<${Line} key=${row.id} ...${props} row=${row} at=${first + at} shown=${shown} rows=${rows}
              isActive=${row.id === active} onActive=${setActive} isSelected=${selection ? has(selection.value, row.id) : undefined} />`,
          )}
        </div>
      </div>
    </div>
    ${problem && rows.length > 0 && html`<${ProblemNotice} problem=${problem} />`}
    ${rows.length === 0 && html`<div class="table-empty"><${Instead} problem=${problem} loading=${loading} empty=${empty} /></div>`}
  </div>`;
}

/** What stands in place of rows. @param {{problem: any, loading: boolean, empty: any}} props */
function Instead({ problem, loading, empty }) {
  if (problem) return html`<${ProblemNotice} problem=${problem} />`;
  if (loading) return html`<p class="waiting">${t("loading")}</p>`;
  return empty ?? html`<${Empty} title=${t("nothing")} />`;
}

/** @param {TableProps & {shown: Column[], rows: Row[]}} props */
function Head({ shown, rows, selection, sort = "id", onSort }) {
  const ids = () => rows.map((row) => row.id);
  const isFull =
    selection && rows.length > 0 && (selection.value.isAll || rows.every((row) => selection.value.ids.has(row.id)));
  const order = (/** @type {Column} */ one) =>
    one.sort === sort ? "ascending" : `-${one.sort}` === sort ? "descending" : undefined;
  return html`<div class="table-head" role="rowgroup"><div role="row" aria-rowindex="1">
    ${
      selection &&
      html`<span role="columnheader"><input type="checkbox" aria-label=${t("select_page")} checked=${isFull}
      onChange=${() => {
        selection.value = page(selection.value, ids());
      }} /></span>`
    }
    ${shown.map(
      (one) => html`<span key=${one.key} role="columnheader" class=${classes(one.end && "end")} aria-sort=${order(one)}>
        ${
          one.sort && onSort
            ? html`<button type="button" class="sort" onClick=${() => onSort(sort === one.sort ? `-${one.sort}` : /** @type {string} */ (one.sort))}>
              ${t(`column.${one.key}`)}<i aria-hidden="true">${ARROWS[order(one) ?? ""]}</i></button>`
            : t(`column.${one.key}`)
        }
      </span>`,
    )}
  </div></div>`;
}

/**
 * @param {TableProps & {row: Row, at: number, shown: Column[], rows: Row[], isActive: boolean, isSelected?: boolean, onActive: (id: number) => void}} props
 */
function Line({ name, row, at, shown, rows, selection, isActive, isSelected, onActive, onOpen }) {
  const onClick = (/** @type {MouseEvent} */ event) => {
    const target = /** @type {Element} */ (event.target);
    if (target.closest("a, button, input, label") || getSelection()?.toString()) return;
    onActive(row.id);
    if (selection && (event.shiftKey || event.ctrlKey || event.metaKey)) choose(event.shiftKey);
    else onOpen?.(row);
  };
  const choose = (/** @type {boolean} */ isRange) => {
    if (!selection) return;
    const order = rows.map((one) => one.id);
    selection.value = isRange ? extended(selection.value, row.id, order) : toggled(selection.value, row.id);
  };
  return html`<div role="row" id=${`${name}-${row.id}`} aria-rowindex=${at + 2} aria-selected=${isSelected}
    class=${classes(isActive && "active", onOpen && "opens")} onClick=${onClick}>
    ${
      selection &&
      html`<span role="gridcell"><input type="checkbox" tabindex="-1" aria-label=${t("select_row", { id: row.id })} checked=${isSelected}
      onClick=${(/** @type {MouseEvent} */ event) => choose(event.shiftKey)} /></span>`
    }
    ${shown.map((one) => html`<span key=${one.key} role="gridcell" class=${classes(one.end && "end")}>${one.cell(row)}</span>`)}
  </div>`;
}

/** How many rows match; nothing while that is not known. @param {{list: import("../../list.js").List}} props */
export function Total({ list }) {
  const { rows, total, complete } = list.state.value;
  const known = total ?? (complete ? rows.length : null);
  if (known === null && rows.length === 0) return null;
  return html`<span class="total">${known === null ? t("at_least", { n: rows.length }) : t("matching", { n: known, shown: number(known) })}</span>`;
}
