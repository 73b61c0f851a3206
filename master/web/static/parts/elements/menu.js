// A button that opens a list of actions or choices.
import { classes, html, useEffect, useRef, useState } from "../../view.js";
import { Icon } from "./icon.js";

/**
 * @param {{label: string, icon?: string, words?: string | null, children: any, align?: "left" | "right", kind?: string}} props
 *     `children`: what stands in the list; a click on a button or link in it closes it
 */
export function Menu({ label, icon = "more", words = null, children, align = "right", kind = "" }) {
  const [open, setOpen] = useState(false);
  const element = useRef(/** @type {HTMLDivElement | null} */ (null));
  useEffect(() => {
    if (!open) return;
    /** @type {HTMLElement | null | undefined} */ (
      element.current?.querySelector(".menu-list button, .menu-list a, .menu-list input")
    )?.focus();
    const away = (/** @type {Event} */ event) => {
      if (!element.current?.contains(/** @type {Node} */ (event.target))) setOpen(false);
    };
    document.addEventListener("pointerdown", away);
    return () => document.removeEventListener("pointerdown", away);
  }, [open]);
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "Escape" && open) {
      event.stopPropagation();
      setOpen(false);
      element.current?.querySelector("button")?.focus();
    }
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || !open) return;
    event.preventDefault();
    /** @type {HTMLElement[]} */
    const all = [...(element.current?.querySelectorAll(".menu-list button, .menu-list a, .menu-list input") ?? [])].map(
      (one) => /** @type {HTMLElement} */ (one),
    );
    const at = all.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    all[(at + step + all.length) % all.length]?.focus();
  };
  const onPick = (/** @type {Event} */ event) => {
    const target = /** @type {Element} */ (event.target);
    if (target.closest("button, a") && !target.closest("[data-stay]")) setOpen(false);
  };
  return html`<div class="menu" ref=${element} onKeyDown=${onKeyDown}>
    <button type="button" class=${classes(kind, words === null && "icon-only")} aria-label=${words === null ? label : undefined} title=${label} aria-haspopup="true" aria-expanded=${open} onClick=${() => setOpen(!open)}>
      <${Icon} name=${icon} />${words !== null && html`<span>${words}</span>`}
    </button>
    ${open && html`<div class=${classes("menu-list", align)} onClick=${onPick}>${children}</div>`}
  </div>`;
}
