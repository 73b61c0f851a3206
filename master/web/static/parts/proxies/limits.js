// The limits of a proxy as bars, with what is used of them.
import { ago, bytes, number, percent, speed, time } from "../../format.js";
import { html } from "../../view.js";
import { t } from "../../words.js";
import { Meter } from "../elements/meter.js";

/** @param {{proxy: any}} props */
export function LimitsPanel({ proxy }) {
  const { limits, usage, status } = proxy;
  const now = usage?.now;
  const quota = usage?.quota;
  return html`<section class="panel"><h2>${t("limits")}</h2><dl class="facts meters">
    <dt>${t("column.connections")}</dt><dd><${Limit} used=${status.connections} limit=${limits.connections} format=${number} /></dd>
    <dt>${t("rate_in")}</dt><dd><${Limit} used=${now?.rx_bps} limit=${limits.bandwidth_bps} format=${speed} /></dd>
    <dt>${t("rate_out")}</dt><dd><${Limit} used=${now?.tx_bps} limit=${limits.bandwidth_bps} format=${speed} /></dd>
    <dt>${t("quota")}</dt><dd><${Limit} used=${quota?.used_bytes} limit=${limits.traffic_bytes} format=${bytes} />
      ${limits.traffic_bytes && html`<small>${t(`period.${limits.traffic_period}`)}</small>`}</dd>
    <dt>${t("column.expires")}</dt><dd>${limits.expires_at ? html`${time(limits.expires_at)} <small>${ago(limits.expires_at)}</small>` : t("never")}</dd>
  </dl></section>`;
}

/** @param {{used: number | null | undefined, limit: number | null, format: (value: number | null | undefined) => string}} props */
function Limit({ used, limit, format }) {
  if (limit === null || limit === undefined) return html`${format(used)} <small>${t("no_limit")}</small>`;
  const share = (used ?? 0) / limit;
  const words = used == null ? format(limit) : `${format(used)} / ${format(limit)} (${percent(share)})`;
  return html`<${Meter} share=${share} words=${words} />`;
}
