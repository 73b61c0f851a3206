// What surrounds every screen: navigation, notices, palette, keys and footer.

import { link, route } from "../../router.js";
import { NAVIGATION } from "../../routes.js";
import { useRead } from "../../store.js";
import { live } from "../../stream.js";
import { isLoginNeeded, token } from "../../token.js";
import { classes, html, signal, useEffect } from "../../view.js";
import { t } from "../../words.js";
import { Icon } from "../elements/icon.js";
import { Toasts } from "../elements/toast.js";
import { Footer } from "./footer.js";
import { isKeysOpen, Keys, useShellKeys } from "./keys.js";
import { Outlet } from "./outlet.js";
import { isPaletteOpen, Palette } from "./palette.js";

const isMenuOpen = signal(false);
/** The address of the icon, which is that of the page. */
const icon = document.querySelector("link[rel=icon]")?.getAttribute("href");

export function Shell() {
  useShellKeys();
  const state = live.value.state;
  useEffect(() => {
    isMenuOpen.value = false;
  }, [route.value.path]);
  return html`<a class="skip" href="#main" onClick=${skip}>${t("skip")}</a>
    <div class=${classes("shell", isLoginNeeded.value && "alone", isMenuOpen.value && "menu-open", state === "cut" && "is-cut")}>
      ${!isLoginNeeded.value && html`<${Navigation} />`}
      <main id="main" tabindex="-1"><${Outlet} /></main>
      <${Footer} />
    </div>
    <${Toasts} /><${Palette} />${isKeysOpen.value && html`<${Keys} />`}`;
}

/** Moves on to the screen without changing the address. @param {Event} event */
function skip(event) {
  event.preventDefault();
  document.getElementById("main")?.focus();
}

function Navigation() {
  const path = route.value.path;
  const counts = useRead("/proxies/count", { by: "state" }, { on: ["proxies"], every: 30, pause: 2000 });
  const isNarrowed = Boolean(useRead(token.value ? "/tokens/current" : null).data?.filter);
  const failed = counts.data?.items.find((/** @type {any} */ one) => one.state === "failed")?.count;
  return html`<header class="side">
    <div class="brand">
      <a href="#/"><img src=${icon} alt="" width="22" height="22" /><b>maybe-proxy</b></a>
      <button type="button" class="quiet icon-only menu-button" aria-label=${t("menu")} aria-expanded=${isMenuOpen.value}
        onClick=${() => {
          isMenuOpen.value = !isMenuOpen.value;
        }}><${Icon} name="menu" /></button>
    </div>
    <div class="side-body">
      <button type="button" class="find" onClick=${() => {
        isPaletteOpen.value = true;
      }}><${Icon} name="lookup" /><span>${t("find")}</span><kbd>Ctrl K</kbd></button>
      <nav aria-label=${t("navigation")}>
        ${NAVIGATION.map(
          (group) => html`<h2 key=${group.words}>${t(`nav.${group.words}`)}</h2>
          <ul>${group.items
            .filter((item) => !(item.whole && isNarrowed))
            .map(
              (
                item,
              ) => html`<li key=${item.path}><a href=${link(item.path)} aria-current=${isCurrent(item.path, path) ? "page" : undefined}>
              <${Icon} name=${item.icon} /><span>${t(`nav.${item.path}`)}</span>
              ${item.path === "/proxies" && failed > 0 && html`<span class="count bad" title=${t("state.failed")}>${failed}</span>`}
            </a></li>`,
            )}</ul>`,
        )}
      </nav>
    </div>
  </header>`;
}

/** @param {string} item @param {string} path */
const isCurrent = (item, path) => (item === "/" ? path === "/" : path === item || path.startsWith(`${item}/`));
