// Tokens: who uses this page, who may use the API, and the dialogues that create and revoke tokens.
import { ago, time } from "../../format.js";
import { useRead } from "../../store.js";
import { keepToken, token } from "../../token.js";
import { html, useState } from "../../view.js";
import { t } from "../../words.js";
import { Texts } from "../customers/link_dialog.js";
import { Waiting } from "../elements/notice.js";
import { Write } from "../forms/write.js";

export function Tokens() {
  const current = useRead("/tokens/current", {}, { every: 60 });
  const mine = current.data;
  return html`<section class="panel"><div class="panel-head"><h2>${t("tokens")}</h2>
      ${token.value !== "" && html`<button type="button" onClick=${() => keepToken("")}>${t("tokens.log_out")}</button>`}</div>
    ${
      mine
        ? html`<p>${mine.id === null ? html`<span class="badge warning">${t("tokens.open")}</span> ${t("tokens.open_text")}` : html`${t("tokens.mine", { name: mine.name })} <small class="muted">${rights(mine)}</small>`}</p>
        ${mine.scopes.includes("admin") && html`<${All} mine=${mine.id} onChange=${current.refresh} />`}`
        : html`<${Waiting} read=${current} />`
    }</section>`;
}

/** What a token may do, and where. @param {any} token */
const rights = ({ scopes, filter }) =>
  [
    scopes.join(", "),
    ...Object.entries(filter ?? {}).flatMap(([name, value]) => (value === null ? [] : [`${name} ${value}`])),
  ].join(" · ");

/** @param {{mine: number | null, onChange: () => Promise<void>}} props */
function All({ mine, onChange }) {
  const read = useRead("/tokens", { limit: 1000 }, { on: ["events"], every: 60, pause: 3000 });
  const [isCreating, setCreating] = useState(false);
  const [made, setMade] = useState("");
  const [leaving, setLeaving] = useState(/** @type {any} */ (null));
  const again = () => void Promise.all([read.refresh(), onChange()]);
  return html`${read.data ? html`<${List} items=${read.data.items} mine=${mine} revoke=${setLeaving} />` : html`<${Waiting} read=${read} />`}
    <p><button type="button" onClick=${() => setCreating(true)}>${t("tokens.create")}</button></p>
    ${
      isCreating &&
      html`<${Write} title=${t("tokens.create")} call=${{ method: "POST", path: "/tokens", body: {} }} schema="NewToken" text=${t("tokens.create_text")}
        fields=${["name", "scopes", "filter", "allow_ips", "expires_at"]} action=${t("create")} done=${t("tokens.created")}
        onDone=${(/** @type {any} */ created) => [adopt(created), again(), setMade(created.token)]} onClose=${() => setCreating(false)} />`
    }
    ${made && html`<${Texts} title=${t("tokens.made")} hint=${t("tokens.made_text")} texts=${[made]} onClose=${() => setMade("")} />`}
    ${
      leaving &&
      html`<${Write} title=${t("tokens.revoke")} call=${{ method: "DELETE", path: `/tokens/${leaving.id}` }} text=${t("tokens.revoke_text", { name: leaving.name })}
        action=${t("tokens.revoke")} done=${t("tokens.revoked")} danger onDone=${again} onClose=${() => setLeaving(null)} />`
    }`;
}

/** The first admin token closes the API: this browser goes on with it, or nobody could read it. @param {any} created */
function adopt(created) {
  if (token.peek() === "" && created.scopes.includes("admin")) token.value = created.token;
}

/** @param {{items: any[], mine: number | null, revoke: (token: any) => void}} props */
function List({ items, mine, revoke }) {
  if (items.length === 0) return null;
  return html`<div class="scrolls" tabindex="0" role="region" aria-label=${t("tokens")}><table class="plain">
    <thead><tr><th>${t("column.name")}</th><th>${t("tokens.rights")}</th><th>${t("tokens.expires")}</th><th>${t("tokens.used")}</th><th></th></tr></thead>
    <tbody>${items.map(
      (
        one,
      ) => html`<tr key=${one.id}><td>${one.name}</td><td>${rights(one)}</td><td>${one.expires_at ? time(one.expires_at) : t("never")}</td>
        <td title=${one.last_used_ip ?? ""}>${one.last_used_at ? ago(one.last_used_at) : t("never")}</td>
        <td>${one.id !== mine && html`<button type="button" class="quiet bad" onClick=${() => revoke(one)}>${t("tokens.revoke")}</button>`}</td></tr>`,
    )}</tbody></table></div>`;
}
