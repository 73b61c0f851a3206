// Settings: what the doctor finds, the masters and their versions, and how this browser shows the page.
import { ago, clock, number, time } from "../format.js";
import { Stale, Waiting } from "../parts/elements/notice.js";
import { Badge } from "../parts/elements/states.js";
import { Broker } from "../parts/settings/broker.js";
import { Licence } from "../parts/settings/licence.js";
import { Tokens } from "../parts/settings/tokens.js";
import { Page } from "../parts/shell/screen.js";
import { customerLabel, density, theme } from "../prefs.js";
import { isForbidden, useRead } from "../store.js";
import { html } from "../view.js";
import { LANGUAGES, language, t } from "../words.js";

const SILENT_MS = 30_000;

export default function Settings() {
  const health = useRead("/health/report", {}, { every: 15 });
  const system = useRead("/system", {}, { every: 15 });
  return html`<${Page} title=${t("nav./settings")}>
    <${Stale} read=${health.problem ? health : system} />
    <div class="panels">
      ${
        !isForbidden(health) &&
        html`<section class="panel half"><div class="panel-head"><h2>${t("settings.doctor")}</h2>${health.data && html`<small class="muted">${clock(health.data.made_at)}</small>`}</div>
        ${health.data ? html`<${Findings} items=${health.data.items} />` : html`<${Waiting} read=${health} />`}</section>`
      }
      <div class="pile"><section class="panel"><h2>${t("settings.page")}</h2><${Preferences} /></section>
        <${Tokens} /><${Broker} /><${Licence} />${system.data && html`<${Versions} system=${system.data} />`}</div>
      ${system.data ? html`<${Masters} system=${system.data} /><${Values} items=${system.data.settings} />` : !isForbidden(system) && html`<section class="panel"><${Waiting} read=${system} /></section>`}
    </div>
  <//>`;
}

/** @param {{items: any[]}} props */
function Findings({ items }) {
  const bad = items.filter((one) => one.level !== "ok");
  const good = items.filter((one) => one.level === "ok");
  return html`${bad.length === 0 && html`<p><span class="badge ok">${t("settings.all_well")}</span></p>`}
    <ul class="findings">${bad.map((one) => html`<${Finding} key=${one.check + one.text} finding=${one} />`)}</ul>
    <details class="more"><summary>${t("settings.fine", { n: good.length })}</summary>
      <ul class="findings">${good.map((one) => html`<${Finding} key=${one.check + one.text} finding=${one} />`)}</ul></details>`;
}

/** @param {{finding: any}} props */
function Finding({ finding: { check, level, text, advice } }) {
  return html`<li><span class=${`badge ${level === "problem" ? "error" : level}`}>${check}</span><div>${text}${advice && html`<p class="muted">${advice}</p>`}</div></li>`;
}

function Preferences() {
  return html`<div class="form">
    <${Choice} name="theme" signal=${theme} options=${["system", "light", "dark"].map((one) => [one, t(`theme.${one}`)])} />
    <${Choice} name="language" signal=${language} options=${Object.entries(LANGUAGES)} />
    <${Choice} name="density" signal=${density} options=${["compact", "comfortable"].map((one) => [one, t(`density.${one}`)])} />
    <div class="field"><label for="customer-label">${t("settings.customer_label")}</label>
      <input id="customer-label" type="text" maxlength="63" value=${customerLabel.value} onChange=${(
        /** @type {any} */ event,
      ) => {
        customerLabel.value = event.target.value.trim() || "customer";
      }} /><p class="hint">${t("settings.customer_hint")}</p></div>
  </div>`;
}

/** @param {{name: string, signal: import("@preact/signals").Signal<any>, options: [string, string][]}} props */
function Choice({ name, signal, options }) {
  return html`<div class="field"><label for=${`choice-${name}`}>${t(name)}</label>
    <select id=${`choice-${name}`} value=${signal.value} onChange=${(/** @type {any} */ event) => {
      signal.value = event.target.value;
    }}>${options.map(([value, words]) => html`<option key=${value} value=${value}>${words}</option>`)}</select></div>`;
}

/** @param {{system: any}} props */
function Versions({ system: { version, cluster, postgresql, rabbitmq, retention } }) {
  return html`<section class="panel"><h2>${t("settings.versions")}</h2>
    <dl class="facts"><dt>maybe-proxy</dt><dd>${version}</dd><dt>PostgreSQL</dt><dd>${postgresql.version}</dd>
      <dt>RabbitMQ</dt><dd>${rabbitmq.version ?? "–"} <${Badge} state=${rabbitmq.state === "up" ? "online" : "offline"} title=${rabbitmq.state} /></dd>
      <dt>${t("settings.cluster")}</dt><dd class="mono">${cluster}</dd>
      ${Object.entries(retention).map(([name, days]) => html`<dt key=${name}>${t(`settings.${name}`)}</dt><dd>${t("settings.days", { n: days })}</dd>`)}</dl></section>`;
}

/** @param {{system: any}} props */
function Masters({ system }) {
  return html`<section class="panel"><h2>${t("settings.masters")}</h2><div class="scrolls" tabindex="0" role="region" aria-label=${t("settings.masters")}><table class="plain">
    <thead><tr><th>${t("settings.host")}</th><th>${t("column.state")}</th><th>${t("column.version")}</th><th>${t("settings.started")}</th><th>${t("settings.seen")}</th><th>${t("settings.master_id")}</th></tr></thead>
    <tbody>${system.masters.map(
      (/** @type {any} */ one) => html`<tr key=${one.id}><td>${one.host}</td>
        <td><${Badge} state=${Date.parse(system.time) - Date.parse(one.last_seen_at) > SILENT_MS ? "offline" : "online"} /></td>
        <td class=${one.version === system.version ? "" : "warn-text"}>${one.version}</td><td>${time(one.started_at)}</td><td>${ago(one.last_seen_at)}</td><td class="mono">${one.id}</td></tr>`,
    )}</tbody></table></div></section>`;
}

/** @param {{items: any[]}} props */
function Values({ items }) {
  return html`<section class="panel"><details><summary>${t("settings.variables", { n: items.length, shown: number(items.length) })}</summary>
    <p class="hint">${t("settings.variables_text")}</p>
    <div class="scrolls"><table class="plain"><tbody>${items.map((one) => html`<tr key=${one.name}><td class="mono">${one.name}</td><td class="mono">${one.value ?? html`<span class="muted">–</span>`}</td></tr>`)}</tbody></table></div></details></section>`;
}
