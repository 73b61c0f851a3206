// The token of this browser, which every call carries. Tabs share it; it leaves the browser in calls to the API alone.
import { remembered } from "./prefs.js";
import { signal } from "./view.js";

/** "" while the API is open, and before the login. @type {import("@preact/signals").Signal<string>} */
export const token = remembered("token", "");
/** Whether the API refused a call for want of a token that counts. */
export const isLoginNeeded = signal(false);

/** The header of a token. @param {string} text @returns {Record<string, string>} */
export const bearer = (text) => (text === "" ? {} : { Authorization: `Bearer ${text}` });

/** Keeps a token, or forgets it, and begins the page anew with it. @param {string} text */
export function keepToken(text) {
  token.value = text;
  location.reload();
}
