// Where the code of a screen is: in the first load, or in a second file with all other screens.
import first from "./screens/first.js";

/** @type {Record<string, any>} */
const here = first;

/**
 * The component of a screen; undefined if none has this name.
 * @param {string} name
 * @returns {any} the component, or a promise of it
 */
export const screenOf = (name) =>
  here[name] ??
  import("./screens/others.js").then((module) => /** @type {Record<string, any>} */ (module.default)[name]);
