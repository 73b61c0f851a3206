// Shows the screen of the address.
import { route } from "../../router.js";
import { screenOf } from "../../screens.js";
import { isLoginNeeded } from "../../token.js";
import { html, useEffect, useMemo, useState } from "../../view.js";
import { t } from "../../words.js";
import { Empty } from "../elements/notice.js";

/**
 * The component of a screen; null while it is fetched.
 * @param {string} name
 */
function useScreen(name) {
  const found = useMemo(() => screenOf(name), [name]);
  const [fetched, setFetched] = useState({ name: "", Screen: null });
  useEffect(() => {
    let isGone = false;
    const show = (/** @type {any} */ Screen) => isGone || setFetched({ name, Screen });
    const fail = (/** @type {any} */ error) => {
      console.error(error);
      show(Outdated);
    };
    if (found instanceof Promise) found.then((Screen) => show(Screen ?? Missing), fail);
    return () => {
      isGone = true;
    };
  }, [found]);
  if (!(found instanceof Promise)) return found;
  return fetched.name === name ? fetched.Screen : null;
}

export function Outlet() {
  const { params, path } = route.value;
  const screen = isLoginNeeded.value ? "login" : route.value.screen;
  const Screen = useScreen(screen);
  useEffect(() => {
    const title = document.querySelector("main h1")?.textContent;
    document.title = title ? `${title} · maybe-proxy` : "maybe-proxy";
  }, [Screen, path]);
  if (!Screen) return html`<p class="waiting" aria-busy="true">${t("loading")}</p>`;
  return html`<${Screen} key=${screen + path} ...${params} />`;
}

function Missing() {
  return html`<div class="screen"><h1>${t("missing")}</h1><${Empty} title=${t("missing_text")}><a href="#/">${t("nav./")}</a><//></div>`;
}

function Outdated() {
  const reload = () => location.reload();
  return html`<div class="screen"><h1>${t("outdated")}</h1><${Empty} title=${t("outdated_text")}>
    <button type="button" class="primary" onClick=${reload}>${t("reload")}</button><//></div>`;
}
