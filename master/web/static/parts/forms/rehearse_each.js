// The same write for each of some things, all tried out first: one call each, with what was seen.
import { prepared, run } from "../../api.js";
import { announce } from "../../changes.js";
import { curl } from "../../curl.js";
import { number } from "../../format.js";
import { problemOf } from "../../store.js";
import { html, useEffect, useState } from "../../view.js";
import { t } from "../../words.js";
import { CopyButton } from "../elements/copy.js";
import { Dialog } from "../elements/dialog.js";
import { problemText } from "../elements/notice.js";
import { toast } from "../elements/toast.js";
import { Rehearsal, rehearsed } from "./rehearsal.js";

/** @typedef {{counts?: Record<string, number>, matched?: number | null, problem?: any}} Found */

const PAUSE_MS = 300;
const MEMBERS = ["matched", "created", "changed", "removed"];

/**
 * @template T
 * @param {{title: string, items: (T & {id: number})[], name: (item: any) => string, call: (item: any) => import("../../curl.js").Call & {version?: number},
 *     kind: import("../../changes.js").Kind, expects?: boolean, dry?: boolean, ready?: boolean, action: string, danger?: boolean, done: string,
 *     onClose: () => void, onDone?: () => void, children?: any}} props as those of a Rehearsal, for `items`
 */
export function RehearseEach(props) {
  const { items, call, kind, done, onDone } = props;
  if (items.length > 1) return html`<${Several} ...${props} />`;
  const after = () => [announce(kind), onDone?.()];
  return html`<${Rehearsal} ...${props} call=${call(items[0])} done=${() => done} onDone=${after} />`;
}

/** @param {any} props */
function Several({
  title,
  items,
  name,
  call,
  kind,
  expects = true,
  dry = true,
  ready = true,
  action,
  danger,
  done,
  onClose,
  onDone,
  children,
}) {
  const [found, setFound] = useState(/** @type {Record<number, Found>} */ ({}));
  const [isBusy, setBusy] = useState(false);
  const key = JSON.stringify(items.map(call));
  useEffect(() => {
    setFound({});
    if (!ready) return;
    const stop = new AbortController();
    const timer = setTimeout(() => void tryAll(stop.signal), PAUSE_MS);
    return () => [clearTimeout(timer), stop.abort()];
  }, [key, ready]);
  const note = (/** @type {number} */ id, /** @type {Found} */ one) => setFound((all) => ({ ...all, [id]: one }));
  const tryAll = async (/** @type {AbortSignal} */ signal) => {
    for (const item of items) {
      await rehearsed(call(item), expects, dry, signal).then(
        (outcome) => note(item.id, { matched: outcome.matched, counts: summed(outcome) }),
        (error) => signal.aborted || note(item.id, { problem: problemOf(error) }),
      );
      if (signal.aborted) return;
    }
  };
  const write = (/** @type {any} */ item) => {
    const one = call(item);
    return prepared(expects ? { ...one, query: { ...one.query, expect: found[item.id]?.matched } } : one);
  };
  const possible = items.filter((/** @type {any} */ one) => found[one.id]?.counts && found[one.id]?.matched !== 0);
  const commit = async () => {
    setBusy(true);
    let failures = 0;
    for (const item of possible) {
      await run(write(item)).catch((error) => {
        failures += 1;
        note(item.id, { problem: problemOf(error) });
      });
    }
    announce(kind);
    setBusy(false);
    if (failures > 0) return;
    toast(done, { call: write(possible[0]) });
    onDone?.();
    onClose();
  };
  const isSeen = items.every((/** @type {any} */ one) => found[one.id]);
  const isFit = ready && isSeen && possible.length > 0 && !isBusy;
  const problem = Object.values(found).find((one) => one.problem)?.problem ?? null;
  const actions = html`<${CopyButton} text=${() => items.map((/** @type {any} */ one) => curl(write(one), location.origin)).join("\n")} label=${t("copy_curl")} icon="terminal" words=${t("copy_curl")} /><span class="gap" /><button type="button" onClick=${onClose}>${t("cancel")}</button>
    <button type="button" class=${danger ? "danger" : "primary"} disabled=${!isFit} onClick=${commit}>${action}</button>`;
  return html`<${Dialog} title=${title} onClose=${onClose} actions=${actions}>
    ${typeof children === "function" ? children(problem) : children}
    <div class="rehearsal scrolls" aria-live="polite">${ready && html`<${Found} items=${items} name=${name} found=${found} />`}</div>
  <//>`;
}

/** What a rehearsal counted, over all nodes. @param {import("./rehearsal.js").Outcome} outcome @returns {Record<string, number>} */
function summed({ matched, by_node: nodes }) {
  const sum = (/** @type {string} */ name) => nodes.reduce((total, one) => total + (one[name] ?? 0), 0);
  return { ...Object.fromEntries(MEMBERS.map((name) => [name, sum(name)])), matched: matched ?? 0 };
}

/** @param {{items: any[], name: (item: any) => string, found: Record<number, Found>}} props */
function Found({ items, name, found }) {
  const count = (/** @type {number} */ id, /** @type {string} */ member) => found[id]?.counts?.[member] ?? 0;
  const members = MEMBERS.filter((member) => items.some((one) => count(one.id, member) > 0));
  const cells = (/** @type {any} */ { id }) =>
    found[id]?.problem
      ? html`<td colspan=${Math.max(members.length, 1)} class="error">${problemText(found[id].problem)}</td>`
      : found[id]
        ? members.map((one) => html`<td class="end" key=${one}>${number(count(id, one))}</td>`)
        : html`<td class="muted" aria-busy="true">${t("rehearsing")}</td>`;
  return html`<table class="plain"><thead><tr><th>${t("column.name")}</th>${members.map((one) => html`<th class="end" key=${one}>${t(`column.${one}`)}</th>`)}</tr></thead>
    <tbody>${items.map((one) => html`<tr key=${one.id}><td>${name(one)}</td>${cells(one)}</tr>`)}</tbody>
    ${members.length > 0 && html`<tfoot><tr><td>${t("sum")}</td>${members.map((member) => html`<td class="end" key=${member}>${number(items.reduce((sum, one) => sum + count(one.id, member), 0))}</td>`)}</tr></tfoot>`}</table>`;
}
