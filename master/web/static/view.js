// The one door to Preact, htm and signals.

import htm from "./vendor/htm.js";
import { Fragment, h, render } from "./vendor/preact.js";
import { batch, computed, effect, signal } from "./vendor/signals.js";

export { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./vendor/hooks.js";
export { batch, computed, effect, Fragment, h, render, signal };

/** Makes elements out of a template: html`<p>${text}</p>`. Texts are never read as HTML. */
export const html = htm.bind(h);

/** @typedef {import("preact").ComponentChildren} Children */
/** @typedef {import("preact").VNode<any>} View */

/**
 * Joins the class names whose condition holds.
 * @param {...(string | false | null | undefined)} names
 */
export const classes = (...names) => names.filter(Boolean).join(" ");
