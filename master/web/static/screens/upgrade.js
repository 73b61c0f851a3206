// One upgrade: how far it is, and each of its nodes on a line of time.

import { text, wordsOf } from "../filter.js";
import { ago, duration, number, time } from "../format.js";
import { Icon } from "../parts/elements/icon.js";
import { Stale, Waiting } from "../parts/elements/notice.js";
import { Page } from "../parts/shell/screen.js";
import { UpgradeActions } from "../parts/upgrades/actions.js";
import { Progress, UpgradeBadge } from "../parts/upgrades/states.js";
import { Timeline } from "../parts/upgrades/timeline.js";
import { useResource } from "../store.js";
import { html } from "../view.js";
import { t } from "../words.js";

/** @param {{id: string}} props */
export default function UpgradeScreen({ id }) {
  const read = useResource("upgrades", id);
  const upgrade = read.data;
  if (!upgrade) return html`<${Page} title=${t("upgrade.number", { id })}><${Waiting} read=${read} /><//>`;
  const lead = html`<${UpgradeBadge} state=${upgrade.state} /><span title=${time(upgrade.created_at)}>${t("upgrade.number", { id })} · ${ago(upgrade.created_at)}</span>`;
  return html`<${Page} title=${t("upgrade.title", { version: upgrade.version })} lead=${lead} actions=${html`<${UpgradeActions} upgrade=${upgrade} />`}>
    <${Stale} read=${read} />
    ${upgrade.reason && html`<div class=${upgrade.state === "halted" ? "notice bad" : "notice warn"}><${Icon} name="warning" /><p>${upgrade.reason}</p></div>`}
    <div class="strip">
      <div><small>${t("upgrade.progress")}</small><${Progress} counts=${upgrade.counts} /></div>
      <div title=${t("upgrade.canary_text")}><small>${t("upgrade.canary")}</small>${number(upgrade.canary)}</div>
      <div title=${t("upgrade.batch_text")}><small>${t("upgrade.batch")}</small>${String(upgrade.batch)}${upgrade.batch !== upgrade.batch_size && ` = ${number(upgrade.batch_size)}`}</div>
      <div title=${t("upgrade.soak_text")}><small>${t("upgrade.soak")}</small>${duration(upgrade.soak_s)}</div>
      <div title=${t("upgrade.most_failed_text")}><small>${t("upgrade.most_failed")}</small>${number(upgrade.most_failed)}</div>
      <div><small>${t("filter")}</small><code>${wordsOf(upgrade.filter).map(text).join(" ") || t("upgrade.all")}</code></div>
    </div>
    <section class="panel scrolled"><${Timeline} upgrade=${upgrade} /></section>
  <//>`;
}
