// Usage of a filter over time: bytes received and sent, by day or by hour.
import { bytes } from "../../format.js";
import { useRead } from "../../store.js";
import { html, useMemo, useState } from "../../view.js";
import { t } from "../../words.js";
import { Waiting } from "../elements/notice.js";
import { Chart } from "./chart.js";

const HOUR_S = 3600;
const DAY_S = 86_400;
/** @type {Record<string, {by: "hour" | "day", seconds: number}>} */
const SPANS = {
  day: { by: "hour", seconds: DAY_S },
  month: { by: "day", seconds: 30 * DAY_S },
  quarter: { by: "day", seconds: 90 * DAY_S },
};

/** @param {{query?: import("../../query.js").Query}} props */
export function UsageChart({ query = {} }) {
  const [span, setSpan] = useState("day");
  const { by, seconds } = SPANS[span];
  const step = by === "hour" ? HOUR_S : DAY_S;
  const from = useMemo(() => (Math.floor(Date.now() / 1000 / step) + 1) * step - seconds, [span]);
  const read = useRead(
    "/usage",
    { ...query, by, from: new Date(from * 1000).toISOString(), limit: 1000 },
    { every: 60 },
  );
  const times = Array.from({ length: seconds / step }, (_, at) => from + at * step);
  const series = read.data && seriesOf(read.data.items, by, times);
  const total = series
    ?.flatMap((/** @type {any} */ one) => one.values)
    .reduce((/** @type {number} */ sum, /** @type {number} */ value) => sum + value, 0);
  return html`<div class="panel-head"><h2>${t("usage")}</h2>${total !== undefined && html`<span class="muted">${bytes(total)}</span>`}
      ${Object.keys(SPANS).map((one) => html`<button type="button" class="quiet" key=${one} aria-pressed=${one === span} onClick=${() => setSpan(one)}>${t(`span.${one}`)}</button>`)}</div>
    ${series ? html`<${Chart} times=${times} series=${series} format=${bytes} label=${`${t("usage")}: ${bytes(total)}`} />` : html`<${Waiting} read=${read} />`}`;
}

/**
 * Sums in the order of the times, with 0 where there was no usage.
 * @param {any[]} items
 * @param {"hour" | "day"} by
 * @param {number[]} times
 */
function seriesOf(items, by, times) {
  const found = new Map(items.map((one) => [Date.parse(by === "day" ? `${one.day}T00:00:00Z` : one.hour) / 1000, one]));
  const values = (/** @type {string} */ member) => times.map((time) => found.get(time)?.[member] ?? 0);
  return [
    { label: t("received"), values: values("received_bytes"), fill: true },
    { label: t("sent"), values: values("sent_bytes"), fill: true },
  ];
}
