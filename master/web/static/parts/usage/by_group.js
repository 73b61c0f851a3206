// Usage over time, stacked by the largest groups: one call for the whole and one for each group that is shown.
import { get } from "../../api.js";
import { bytes } from "../../format.js";
import { bytesOf, rest, stacked, sums } from "../../spans.js";
import { refreshed } from "../../store.js";
import { html, useEffect, useMemo } from "../../view.js";
import { t } from "../../words.js";
import { Waiting } from "../elements/notice.js";
import { Chart } from "./chart.js";

const SHOWN = 5;
const EVERY_MS = 60_000;

/**
 * @param {{filter: import("../../query.js").Query, span: import("../../spans.js").Span, group: import("../../usage_groups.js").Group, items: any[], label: string}} props
 *     `items`: sums of the groups, largest first
 */
export function UsageStack({ filter, span, group, items, label }) {
  const shown = items.filter((one) => group.idOf(one) !== null && bytesOf(one) > 0).slice(0, SHOWN);
  const queries = [filter, ...shown.map((one) => group.only(group.idOf(one) ?? "", filter))];
  const key = JSON.stringify([queries, span]);
  const source = useMemo(
    () =>
      refreshed(() => Promise.all(queries.map((query) => get("/usage", { ...query, by: span.by, limit: 1000 }))), 1000),
    [key],
  );
  useEffect(() => {
    void source.refresh();
    const timer = setInterval(() => document.hidden || void source.refresh(), EVERY_MS);
    return () => [clearInterval(timer), source.close()];
  }, [source]);
  const read = source.state.value;
  if (!read.data) return html`<${Waiting} read=${read} />`;
  const [whole, ...parts] = read.data.map((/** @type {any} */ page) => sums(page.items, span));
  const names = shown.map(group.nameOf);
  const others = rest(whole, parts);
  const isRest = others.some((/** @type {number} */ one) => one > 0);
  const all = isRest ? [...parts, others] : parts;
  const tops = stacked(all);
  const series = all.map((/** @type {number[]} */ own, /** @type {number} */ at) => ({
    label: names[at] ?? t("usage.others"),
    values: tops[at],
    own,
    color: at < names.length ? `--series-${at + 1}` : "--idle-fill",
    fill: true,
    bar: span.step,
  }));
  return html`<${Chart} times=${span.times} series=${series.reverse()} format=${bytes} label=${label} height=${240} />`;
}
