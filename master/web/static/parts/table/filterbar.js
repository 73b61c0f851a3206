// The filter bar: its words are the query parameters of the list, completed from the document of the API.
import { apiDocument } from "../../api.js";
import { completions, isNegative, negated, queryOf, terms, text, words, wordsOf } from "../../filter.js";
import { number } from "../../format.js";
import { route, setQuery } from "../../router.js";
import { useRead } from "../../store.js";
import { classes, html, useEffect, useRef, useState } from "../../view.js";
import { t } from "../../words.js";
import { Icon } from "../elements/icon.js";
import { Views } from "./views.js";

/** @typedef {import("../../filter.js").Word} Word */

/**
 * @param {{path: string, values?: Record<string, string[]>, counts?: boolean, name: string, hint?: string, bare?: (text: string) => string}} props
 *     `path`: the list, as in /proxies. `values`: words that the document does not know. `counts`: whether the API
 *     counts what each word alone matches. `bare`: which parameter a word without one belongs to, if the list has no q
 */
export function FilterBar({ path, values = {}, counts = false, name, hint = t("filter_hint"), bare }) {
  const query = route.value.query;
  const chips = wordsOf(query);
  const [typed, setTyped] = useState("");
  const [at, setAt] = useState(-1);
  const [known, setKnown] = useState(/** @type {import("../../filter.js").Term[]} */ ([]));
  const [isOpen, setOpen] = useState(false);
  const input = useRef(/** @type {HTMLInputElement | null} */ (null));
  const offered = isOpen ? completions(typed, known) : [];

  const learn = async () => {
    setOpen(true);
    if (known.length > 0) return;
    const parameters = (await apiDocument().catch(() => null))?.paths[path]?.get?.parameters ?? [];
    setKnown(
      terms(
        parameters.filter((/** @type {any} */ one) => one.in === "query"),
        values,
      ),
    );
  };
  const show = (/** @type {Word[]} */ all) => setQuery(queryOf(all, query));
  const add = (/** @type {string} */ more) => {
    show([...chips, ...words(more).map((one) => (bare && one.name === "q" ? { ...one, name: bare(one.value) } : one))]);
    setTyped("");
    setAt(-1);
  };
  const pick = (/** @type {{text: string, isDone: boolean}} */ one) => {
    if (one.isDone) add(one.text);
    else setTyped(one.text);
    setAt(-1);
    input.current?.focus();
  };
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && offered.length) setAt((at + step + offered.length) % offered.length);
    else if (event.key === "Enter" && offered[at]) pick(offered[at]);
    else if (event.key === "Tab" && offered[Math.max(at, 0)] && typed) pick(offered[Math.max(at, 0)]);
    else if (event.key === "Enter" && typed.trim()) add(typed);
    else if (event.key === "Backspace" && typed === "" && chips.length) show(chips.slice(0, -1));
    else if (event.key === "Escape") isOpen && typed ? setTyped("") : input.current?.blur();
    else return;
    event.preventDefault();
  };
  useEffect(() => {
    const onSlash = (/** @type {KeyboardEvent} */ event) => {
      if (event.key !== "/" || /** @type {Element} */ (event.target).closest("input, textarea, dialog")) return;
      event.preventDefault();
      input.current?.focus();
    };
    addEventListener("keydown", onSlash);
    return () => removeEventListener("keydown", onSlash);
  }, []);

  return html`<div class="filter-bar">
    <div class="filter-field" role="group" aria-label=${t("filter")}>
      <${Icon} name="lookup" />
      ${chips.map(
        (
          word,
          number_,
        ) => html`<${Chip} key=${text(word)} word=${word} path=${counts ? path : null} isFixed=${word.name === "q" || (bare !== undefined && !word.name.endsWith("label"))}
          onRemove=${() => show(chips.filter((_, other) => other !== number_))}
          onNegate=${() => show(chips.map((one, other) => (other === number_ ? negated(one) : one)))} />`,
      )}
      <input ref=${input} type="text" role="combobox" aria-expanded=${offered.length > 0} aria-controls=${`${name}-words`} aria-autocomplete="list"
        aria-activedescendant=${offered[at] ? `${name}-word-${at}` : undefined} aria-label=${t("filter")} placeholder=${chips.length ? "" : hint}
        autocomplete="off" spellcheck=${false} value=${typed} onFocus=${learn} onBlur=${() => setTimeout(() => setOpen(false), 150)}
        onInput=${(/** @type {any} */ event) => [setTyped(event.target.value), setAt(-1)]} onKeyDown=${onKeyDown} />
      ${chips.length > 0 && html`<button type="button" class="quiet icon-only" aria-label=${t("filter_clear")} onClick=${() => show([])}><${Icon} name="close" /></button>`}
    </div>
    <${Views} name=${name} />
    <ul class="filter-words" role="listbox" id=${`${name}-words`} aria-label=${t("filter")} hidden=${offered.length === 0}>
      ${offered.map(
        (
          one,
          number_,
        ) => html`<li role="option" key=${one.text} id=${`${name}-word-${number_}`} aria-selected=${number_ === at}
          class=${classes(number_ === at && "active")} onPointerDown=${(/** @type {Event} */ event) => [event.preventDefault(), pick(one)]}>${one.text}</li>`,
      )}
    </ul>
  </div>`;
}

/** @param {{word: Word, path: string | null, isFixed: boolean, onRemove: () => void, onNegate: () => void}} props `isFixed`: cannot be excluded */
function Chip({ word, path, isFixed, onRemove, onNegate }) {
  const alone = useRead(path && `${path}/count`, { [word.name]: word.value }, { pause: 5000 });
  const shown = word.name === "q" ? word.value : text(word);
  return html`<span class=${classes("chip", isNegative(word) && "negative")}>
    <button type="button" class="chip-text" title=${t("filter_negate")} disabled=${isFixed} onClick=${onNegate}>${shown}</button>
    ${alone.data && html`<span class="count" title=${t("filter_alone")}>${number(alone.data.total)}</span>`}
    <button type="button" class="chip-close" aria-label=${t("filter_drop", { word: shown })} onClick=${onRemove}><${Icon} name="close" /></button>
  </span>`;
}
