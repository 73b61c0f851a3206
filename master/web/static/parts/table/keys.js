// The keys of a table: j and k move, x selects, Enter opens, c copies.
import { toggled } from "../../selection.js";
import { useEffect, useRef, useState } from "../../view.js";

/** Whether somebody is typing, or a dialogue is open. @param {KeyboardEvent} event */
export function isTyping(event) {
  const target = /** @type {Element} */ (event.target);
  return Boolean(
    target.closest?.("input:not([type=checkbox]), textarea, select, [contenteditable], dialog, .menu-list"),
  );
}

/**
 * @param {import("./table.js").TableProps} props
 * @param {{current: HTMLElement | null}} box
 * @param {import("../../list.js").Row[]} rows
 * @param {number} height of a row
 * @param {number} head height of the head
 * @returns {[number | null, (id: number | null) => void]} the id of the row at which one is
 */
export function useTableKeys(props, box, rows, height, head) {
  const [active, setActive] = useState(/** @type {number | null} */ (null));
  const latest = useRef({ props, rows, active });
  latest.current = { props, rows, active };
  useEffect(() => {
    const onKey = (/** @type {KeyboardEvent} */ event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event)) return;
      const { props: given, rows: all, active: id } = latest.current;
      const at = all.findIndex((row) => row.id === id);
      const step = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 }[event.key];
      if (step && (event.key.length === 1 || document.activeElement === box.current)) {
        event.preventDefault();
        move(Math.min(Math.max(at + step, 0), all.length - 1), all);
      } else if (at >= 0) act(event, given, all[at]);
    };
    const move = (/** @type {number} */ to, /** @type {import("../../list.js").Row[]} */ all) => {
      if (!all[to]) return;
      setActive(all[to].id);
      const element = box.current;
      if (!element) return;
      const top = to * height;
      if (top < element.scrollTop) element.scrollTop = top;
      else if (top + height + head > element.scrollTop + element.clientHeight)
        element.scrollTop = top + height + head - element.clientHeight;
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, [height]);
  return [active, setActive];
}

/** @param {KeyboardEvent} event @param {import("./table.js").TableProps} props @param {import("../../list.js").Row} row */
function act(event, { selection, onOpen, onCopy }, row) {
  const isOnControl = event.target instanceof Element && event.target.closest("a, button, input");
  if (event.key === "x" && selection) selection.value = toggled(selection.value, row.id);
  else if (event.key === "Enter" && !isOnControl) onOpen?.(row);
  else if (event.key === "c") onCopy?.(row);
  else return;
  event.preventDefault();
}
