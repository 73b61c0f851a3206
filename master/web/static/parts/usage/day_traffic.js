// Traffic of the last 24 hours, an hour a bar. It is part of the first load, so it does without the library of charts.
import { bytes, clock } from "../../format.js";
import { link } from "../../router.js";
import { useRead } from "../../store.js";
import { html, useMemo } from "../../view.js";
import { t } from "../../words.js";
import { Waiting } from "../elements/notice.js";

const HOUR_MS = 3_600_000;
const HOURS = 24;
const HEIGHT = 60;

export function DayTraffic() {
  const from = useMemo(() => (Math.floor(Date.now() / HOUR_MS) + 1 - HOURS) * HOUR_MS, []);
  const read = useRead("/usage", { by: "hour", from: new Date(from).toISOString(), limit: 100 }, { every: 60 });
  const items = read.data?.items ?? [];
  const hours = Array.from({ length: HOURS }, (_, at) =>
    items.find((/** @type {any} */ one) => Date.parse(one.hour) === from + at * HOUR_MS),
  );
  const moved = hours.map((one) => (one ? one.received_bytes + one.sent_bytes : 0));
  const most = Math.max(1, ...moved);
  const sum = moved.reduce((total, one) => total + one, 0);
  return html`<div class="panel-head"><h2><a href=${link("/usage")}>${t("overview.traffic")}</a></h2>${read.data && html`<span class="muted">${bytes(sum)}</span>`}</div>
    ${
      read.data
        ? html`<svg class="hours" viewBox=${`0 0 ${HOURS * 10} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label=${`${t("overview.traffic")}: ${bytes(sum)}`}>
      ${moved.map((one, at) => {
        const height = Math.max(one > 0 ? 1 : 0, (one / most) * HEIGHT);
        const words = `${clock(from + at * HOUR_MS).slice(0, 5)}: ${bytes(one)}`;
        return html`<g key=${at}><title>${words}</title><rect class="around" x=${at * 10} y="0" width="10" height=${HEIGHT} /><rect x=${at * 10 + 1} y=${HEIGHT - height} width="8" height=${height} /></g>`;
      })}</svg>
      <div class="hours-axis"><span>${clock(from).slice(0, 5)}</span><span>${bytes(most)} / ${t("overview.hour")}</span><span>${t("overview.now")}</span></div>`
        : html`<${Waiting} read=${read} />`
    }`;
}
