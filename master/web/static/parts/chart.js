// Charts by uPlot, which is fetched when the first one is shown.
import { html, useEffect, useRef } from "../view.js";
import { shown } from "../words.js";

/** @typedef {{label: string, values: (number | null)[], color?: string, fill?: boolean}} Series */

/** @type {Promise<any> | undefined} */
let library;

function uplot() {
  library ??= import("../vendor/uplot.js").then((module) => module.default);
  if (!document.querySelector("link[data-uplot]")) {
    const style = document.createElement("link");
    style.rel = "stylesheet";
    style.href = new URL("../vendor/uplot.css", import.meta.url).href;
    style.dataset.uplot = "";
    document.head.append(style);
  }
  return library;
}

/** @param {string} name of a CSS variable */
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/**
 * Lines over time.
 * @param {{times: number[], series: Series[], format: (value: number | null) => string, label: string, height?: number}} props
 *     `times`: seconds since 1970. `label`: what it shows, for those who do not see it
 */
export function Chart({ times, series, format, label, height = 180 }) {
  const element = useRef(/** @type {HTMLDivElement | null} */ (null));
  const key = JSON.stringify([times, series, shown.value, document.documentElement.dataset.theme]);
  useEffect(() => {
    const box = element.current;
    if (!box || times.length === 0) return;
    /** @type {any} */
    let plot = null;
    let isGone = false;
    const observer = new ResizeObserver(() => plot?.setSize({ width: box.clientWidth, height }));
    void uplot().then((Plot) => {
      if (isGone) return;
      plot = new Plot(
        options(series, format, box.clientWidth, height),
        [times, ...series.map((one) => one.values)],
        box,
      );
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
 * @param {Series[]} series
 * @param {(value: number | null) => string} format
 * @param {number} width
 * @param {number} height
 */
function options(series, format, width, height) {
  const grid = { stroke: color("--line"), width: 1 };
  const axis = { stroke: color("--muted"), grid, ticks: grid, font: "11px system-ui" };
  /** @param {number} seconds */
  const when = (seconds) =>
    new Date(seconds * 1000).toLocaleString(shown.peek(), { dateStyle: "short", timeStyle: "short" });
  return {
    width,
    height,
    legend: { live: true },
    cursor: { drag: { x: false, y: false } },
    axes: [
      {
        ...axis,
        values: (/** @type {any} */ _, /** @type {number[]} */ splits) => splits.map((one) => tick(one, splits)),
      },
      { ...axis, size: 70, values: (/** @type {any} */ _, /** @type {number[]} */ splits) => splits.map(format) },
    ],
    series: [
      { value: (/** @type {any} */ _, /** @type {number | null} */ value) => (value == null ? "–" : when(value)) },
      ...series.map((one, at) => ({
        label: one.label,
        stroke: color(one.color ?? `--series-${at + 1}`),
        width: 1.5,
        fill: one.fill ? `${color(one.color ?? `--series-${at + 1}`)}22` : undefined,
        points: { show: false },
        value: (/** @type {any} */ _, /** @type {number | null} */ value) => format(value),
      })),
    ],
  };
}

/** @param {number} seconds @param {number[]} splits */
function tick(seconds, splits) {
  const isDaily = splits.length > 1 && splits[1] - splits[0] >= 86_400;
  /** @type {Intl.DateTimeFormatOptions} */
  const form = isDaily ? { day: "numeric", month: "short" } : { hour: "2-digit", minute: "2-digit" };
  return new Date(seconds * 1000).toLocaleString(shown.peek(), form);
}
