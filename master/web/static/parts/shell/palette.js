// Ctrl-K: screens, and everything that has a name or an id.
import { get } from "../../api.js";
import { go } from "../../router.js";
import { NAVIGATION } from "../../routes.js";
import { classes, html, signal, useEffect, useRef, useState } from "../../view.js";
import { t } from "../../words.js";
import { Dialog } from "../elements/dialog.js";

/** @typedef {{words: string, detail: string, path: string}} Target */

export const isPaletteOpen = signal(false);
const PAUSE_MS = 120;
/** @type {Record<string, (id: number) => string>} */
const PATHS = {
  proxy: (id) => `/proxies/${id}`,
  node: (id) => `/nodes/${id}`,
  stack: (id) => `/stacks/${id}`,
  location: (id) => `/locations?id=${id}`,
  link: (id) => `/links?id=${id}`,
  webhook: (id) => `/webhooks?id=${id}`,
};

/** @returns {Target[]} */
const screens = () => [
  ...NAVIGATION.flatMap((group) => group.items).map(({ path }) => ({
    words: t(`nav.${path}`),
    detail: t("screen"),
    path,
  })),
  { words: t("nav./proxies/create"), detail: t("action"), path: "/proxies/create" },
  { words: t("nav./nodes/enrol"), detail: t("action"), path: "/nodes/enrol" },
  { words: t("invitations.create"), detail: t("action"), path: "/nodes/invitations" },
];

export function Palette() {
  if (!isPaletteOpen.value) return null;
  return html`<${Search} onClose=${() => {
    isPaletteOpen.value = false;
  }} />`;
}

/** @param {{onClose: () => void}} props */
function Search({ onClose }) {
  const [typed, setTyped] = useState("");
  const [found, setFound] = useState(/** @type {Target[]} */ ([]));
  const [at, setAt] = useState(0);
  const input = useRef(/** @type {HTMLInputElement | null} */ (null));
  useEffect(() => input.current?.focus(), []);
  useEffect(() => {
    setAt(0);
    if (!typed.trim()) return setFound([]);
    const stop = new AbortController();
    const timer = setTimeout(() => {
      get("/search", { q: typed.trim(), limit: 5 }, stop.signal).then(
        ({ items }) => setFound(items.map(target)),
        () => stop.signal.aborted || setFound([]), // the screens can still be chosen
      );
    }, PAUSE_MS);
    return () => [clearTimeout(timer), stop.abort()];
  }, [typed]);
  const fitting = screens().filter((one) => one.words.toLowerCase().includes(typed.trim().toLowerCase()));
  const all = [...found, ...fitting];
  const pick = (/** @type {Target} */ one) => {
    onClose();
    go(one.path);
  };
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) setAt((at + step + all.length) % Math.max(all.length, 1));
    else if (event.key === "Enter" && all[at]) pick(all[at]);
    else return;
    event.preventDefault();
  };
  return html`<${Dialog} title=${t("palette")} onClose=${onClose}>
    <input ref=${input} type="text" class="palette-input" role="combobox" aria-expanded="true" aria-controls="palette-list" aria-label=${t("palette")}
      aria-activedescendant=${all[at] ? `palette-${at}` : undefined} placeholder=${t("palette_hint")} autocomplete="off" spellcheck=${false}
      value=${typed} onInput=${(/** @type {any} */ event) => setTyped(event.target.value)} onKeyDown=${onKeyDown} />
    <ul class="palette-list" role="listbox" id="palette-list" aria-label=${t("palette")}>
      ${all.map(
        (
          one,
          number,
        ) => html`<li role="option" key=${one.path} id=${`palette-${number}`} aria-selected=${number === at} class=${classes(number === at && "active")}
          onClick=${() => pick(one)}><span>${one.words}</span><small>${one.detail}</small></li>`,
      )}
    </ul>
  <//>`;
}

/** @param {{kind: string, id: number, name: string | null, detail: string}} item @returns {Target} */
const target = ({ kind, id, name, detail }) => ({
  words: name ? `${t(`kind.${kind}`)} ${name}` : `${t(`kind.${kind}`)} ${id}`,
  detail,
  path: PATHS[kind](id),
});
