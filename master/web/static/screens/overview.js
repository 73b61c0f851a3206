// The fleet at a glance.
import { Waiting } from "../parts/notice.js";
import { Page } from "../parts/screen.js";
import { StateBar, StateLinks, tallied } from "../parts/states.js";
import { useRead } from "../store.js";
import { html } from "../view.js";
import { t } from "../words.js";

export default function Overview() {
  const counts = useRead("/proxies/count", { by: "state" }, { on: ["proxies"] });
  return html`<${Page} title=${t("nav./")}>
    <div class="panels"><section class="panel"><h2>${t("nav./proxies")}</h2>
      ${counts.data ? html`<${States} counts=${tallied(counts.data.items, "state")} />` : html`<${Waiting} read=${counts} />`}
    </section></div>
  <//>`;
}

/** @param {{counts: Record<string, number>}} props */
const States = ({ counts }) => html`<${StateBar} counts=${counts} /><${StateLinks} counts=${counts} path="/proxies" />`;
