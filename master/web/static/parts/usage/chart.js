// Charts by uPlot, which is fetched when the first one is shown.
import { tick, time } from "../../format.js";
import { theme } from "../../prefs.js";
import { html, useEffect, useRef } from "../../view.js";
import { shown, t } from "../../words.js";

/**
 * @typedef {{label: string, values: (number | null)[], color?: string, fill?: boolean, bar?: number, own?: number[]}} Series
 *     `bar`: drawn as bars over so many seconds, each over what the next series draws. `own`: what the legend says
 */

/** @type {Promise<any> | undefined} */
let library;

function uplot() {
  library ??= import("../../vendor/uplot.js").then((module) => module.default);
  return library;
}

/** The colour of a CSS variable as a canvas takes it. @param {HTMLElement} box @param {string} name @param {number} [alpha] */
function color(box, name, alpha = 1) {
  box.style.color = `var(${name})`;
  const found = getComputedStyle(box).color;
  box.style.color = "";
  return alpha === 1 ? found : found.replace(/^rgb\((.*)\)$/, `rgba($1, ${alpha})`);
}

/**
 * Lines over time.
 * @param {{times: number[], series: Series[], format: (value: number | null) => string, label: string, height?: number}} props
 *     `times`: seconds since 1970. `label`: what it shows, for those who do not see it
 */
export function Chart({ times, series, format, label, height = 180 }) {
  const element = useRef(/** @type {HTMLDivElement | null} */ (null));
  const key = JSON.stringify([times, series, shown.value, theme.value]);
  useEffect(() => {
    const box = element.current;
    if (!box || times.length === 0) return;
    /** @type {any} */
    let plot = null;
    let isGone = false;
    const observer = new ResizeObserver(() => plot?.setSize({ width: box.clientWidth, height }));
    void uplot().then((Plot) => {
      if (isGone) return;
      plot = new Plot(options(Plot, box, series, format, height), [times, ...series.map((one) => one.values)], box);
      observer.observe(box);
    });
    return () => {
      isGone = true;
      observer.disconnect();
      plot?.destroy();
    };
  }, [key]);
  return html`<div class="chart" ref=${element} role="img" aria-label=${label} style=${{ minHeight: `${height}px` }} />`;
}

/**
 * @param {any} Plot
 * @param {HTMLElement} box
 * @param {Series[]} series
 * @param {(value: number | null) => string} format
 * @param {number} height
 */
function options(Plot, box, series, format, height) {
  const bar = series[0]?.bar;
  const bars = bar && {
    scales: {
      x: { range: (/** @type {any} */ _, /** @type {number} */ from, /** @type {number} */ to) => [from, to + bar] },
      y: {
        range: (/** @type {any} */ _, /** @type {number} */ __, /** @type {number} */ most) => [0, most * 1.05 || 1],
      },
    },
  };
  const grid = { stroke: color(box, "--line"), width: 1 };
  const axis = { stroke: color(box, "--muted"), grid, ticks: grid, font: "11px system-ui" };
  return {
    width: box.clientWidth,
    height,
    legend: { live: true },
    cursor: { drag: { x: false, y: false } },
    ...bars,
    axes: [
      {
        ...axis,
        values: (/** @type {any} */ _, /** @type {number[]} */ splits) =>
          splits.map((one) => tick(one, isDaily(splits))),
      },
      { ...axis, size: 70, values: (/** @type {any} */ _, /** @type {number[]} */ splits) => splits.map(format) },
    ],
    series: [
      {
        label: t("time"),
        value: (/** @type {any} */ _, /** @type {number | null} */ value) => (value == null ? "–" : time(value * 1000)),
      },
      ...series.map((one, at) => ({
        label: one.label,
        stroke: color(box, one.color ?? `--series-${at + 1}`),
        width: bar ? 0 : 1.5,
        fill: one.fill ? color(box, one.color ?? `--series-${at + 1}`, bar ? 1 : 0.12) : undefined,
        paths: bar ? Plot.paths.bars({ size: [0.82], align: 1 }) : undefined,
        points: { show: false },
        value: (
          /** @type {any} */ _,
          /** @type {number | null} */ value,
          /** @type {number} */ __,
          /** @type {number | null} */ index,
        ) => format(value === null ? null : (one.own?.[index ?? -1] ?? value)),
      })),
    ],
  };
}

/** @param {number[]} splits */
const isDaily = (splits) => splits.length > 1 && splits[1] - splits[0] >= 86_400;
