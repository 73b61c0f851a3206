// Tabs; the one that is open stands in the address.
import { route, setQuery } from "../../router.js";
import { html } from "../../view.js";

/**
 * @param {{tabs: {key: string, words: string, count?: string | number | null}[], label: string, render: (key: string) => any}} props
 */
export function Tabs({ tabs, label, render }) {
  const query = route.value.query;
  const open = tabs.find((tab) => tab.key === query.tab)?.key ?? tabs[0].key;
  const show = (/** @type {string} */ key) => setQuery({ ...query, tab: key === tabs[0].key ? null : key });
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const at = tabs.findIndex((tab) => tab.key === open);
    const next = tabs[(at + step + tabs.length) % tabs.length].key;
    show(next);
    document.getElementById(`tab-${next}`)?.focus();
  };
  return html`<div class="tabs" role="tablist" aria-label=${label} onKeyDown=${onKeyDown}>
      ${tabs.map(
        ({ key, words, count }) => html`<button
          type="button" role="tab" key=${key} id=${`tab-${key}`} aria-selected=${key === open} aria-controls="tab-panel"
          tabindex=${key === open ? 0 : -1} onClick=${() => show(key)}
        >${words}${count != null && html` <span class="count">${count}</span>`}</button>`,
      )}
    </div>
    <div class="tab-panel" role="tabpanel" id="tab-panel" aria-labelledby=${`tab-${open}`}>${render(open)}</div>`;
}
