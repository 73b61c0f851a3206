// Upgrades: the newest first, and the start of another one.
import { ago, time } from "../format.js";
import { Empty, Stale, Waiting } from "../parts/elements/notice.js";
import { Page } from "../parts/shell/screen.js";
import { StartUpgrade } from "../parts/upgrades/start.js";
import { Progress, UpgradeBadge } from "../parts/upgrades/states.js";
import { link } from "../router.js";
import { useRead } from "../store.js";
import { html, useState } from "../view.js";
import { t } from "../words.js";

export default function Upgrades() {
  const read = useRead("/upgrades", { sort: "-id", limit: 200 }, { on: ["upgrades"] });
  const [isStarting, setStarting] = useState(false);
  const start = html`<button type="button" class="primary" onClick=${() => setStarting(true)}>${t("upgrades.start")}</button>`;
  return html`<${Page} title=${t("nav./upgrades")} actions=${start}>
    <${Stale} read=${read} />
    ${
      !read.data
        ? html`<${Waiting} read=${read} />`
        : read.data.items.length === 0
          ? html`<${Empty} title=${t("upgrades.none")}><p>${t("upgrades.text")}</p>${start}<//>`
          : html`<section class="panel"><${List} items=${read.data.items} /></section>`
    }
    ${isStarting && html`<${StartUpgrade} onClose=${() => setStarting(false)} />`}
  <//>`;
}

/** @param {{items: any[]}} props */
function List({ items }) {
  return html`<div class="scrolls"><table class="plain upgrades">
    <thead><tr><th>${t("upgrade.version")}</th><th>${t("column.state")}</th><th>${t("nav./nodes")}</th><th>${t("upgrade.began")}</th></tr></thead>
    <tbody>${items.map(
      (
        one,
      ) => html`<tr key=${one.id}><td><a href=${link(`/upgrades/${one.id}`)} title=${t("upgrade.number", { id: one.id })}>${one.version}</a></td>
        <td><${UpgradeBadge} state=${one.state} />${one.reason && html`<small class="upgrade-reason">${one.reason}</small>`}</td>
        <td><${Progress} counts=${one.counts} /></td><td title=${time(one.created_at)}>${ago(one.created_at)}</td></tr>`,
    )}</tbody></table></div>`;
}
