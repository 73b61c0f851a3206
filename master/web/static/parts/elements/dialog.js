// A modal dialogue. The browser keeps the focus inside and gives it back.
import { classes, html, useLayoutEffect, useRef } from "../../view.js";
import { t } from "../../words.js";
import { Icon } from "./icon.js";

let last = 0;

/**
 * @param {{title: string, onClose: () => void, children?: any, actions?: any, wide?: boolean, side?: boolean}} props
 *     `actions`: the buttons at its foot. `side`: at the right edge, over the full height
 */
export function Dialog({ title, onClose, children, actions, wide, side }) {
  const element = useRef(/** @type {HTMLDialogElement | null} */ (null));
  const name = useRef(`dialog-${++last}`);
  useLayoutEffect(() => {
    element.current?.showModal();
    return () => element.current?.close();
  }, []);
  const onCancel = (/** @type {Event} */ event) => {
    event.preventDefault();
    onClose();
  };
  return html`<dialog ref=${element} class=${classes(wide && "wide", side && "side")} aria-labelledby=${name.current} onCancel=${onCancel}>
    <header>
      <h2 id=${name.current}>${title}</h2>
      <button type="button" class="quiet icon-only" aria-label=${t("close")} onClick=${onClose}><${Icon} name="close" /></button>
    </header>
    <div class="dialog-body">${children}</div>
    ${actions && html`<footer>${actions}</footer>`}
  </dialog>`;
}
