// The screen of the address. Its code and words are fetched when it is first shown.
import { route } from "../../router.js";
import { html, useEffect, useState } from "../../view.js";
import { loadWords, t } from "../../words.js";
import { Empty } from "../elements/notice.js";

/** @typedef {{name: string, Screen: any, failed?: boolean}} Loaded */

/** @param {string} name @returns {Promise<Loaded>} */
async function load(name) {
  if (name === "missing") return { name, Screen: Missing };
  try {
    const [module] = await Promise.all([import(`../../screens/${name}.js`), loadWords(name)]);
    await Promise.all((module.words ?? []).map(loadWords));
    return { name, Screen: module.default };
  } catch (error) {
    console.error(error);
    return { name, Screen: Outdated };
  }
}

export function Screen() {
  const { screen, params, path } = route.value;
  const [loaded, setLoaded] = useState(/** @type {Loaded | null} */ (null));
  useEffect(() => {
    let isGone = false;
    void load(screen).then((one) => isGone || setLoaded(one));
    return () => {
      isGone = true;
    };
  }, [screen]);
  useEffect(() => {
    const title = document.querySelector("main h1")?.textContent;
    document.title = title ? `${title} · maybe-proxy` : "maybe-proxy";
  }, [loaded, path]);
  if (loaded?.name !== screen) return html`<p class="waiting" aria-busy="true">${t("loading")}</p>`;
  return html`<${loaded.Screen} key=${path} ...${params} />`;
}

function Missing() {
  return html`<div class="screen"><h1>${t("missing")}</h1><${Empty} title=${t("missing_text")}><a href="#/">${t("nav./")}</a><//></div>`;
}

function Outdated() {
  const reload = () => location.reload();
  return html`<div class="screen"><h1>${t("outdated")}</h1><${Empty} title=${t("outdated_text")}>
    <button type="button" class="primary" onClick=${reload}>${t("reload")}</button><//></div>`;
}

/**
 * The frame of a screen: its title, what can be done there, and its content.
 * @param {{title: any, lead?: any, actions?: any, children?: any, fills?: boolean}} props `fills`: a table takes all the height
 */
export function Page({ title, lead, actions, children, fills }) {
  return html`<div class=${fills ? "screen fills" : "screen"}>
    <div class="screen-head"><h1>${title}</h1>${lead && html`<div class="lead">${lead}</div>`}<div class="actions">${actions}</div></div>
    ${children}
  </div>`;
}
