// Usage over time: spans of it, and sums stacked on one another. Pure.

const HOUR_S = 3600;
const DAY_S = 86_400;
const MOST_HOURS = 8 * 24;

/** @typedef {{by: "hour" | "day", from: number, to: number, step: number, times: number[]}} Span seconds since 1970, in UTC */

/** What one may choose, in the order of choice. */
export const SPANS = ["day", "week", "month", "quarter", "this_month", "last_month"];
/** @type {Record<string, number>} days back from now */
const DAYS = { day: 1, week: 7, month: 30, quarter: 90 };

/**
 * A span by its name, or from one time to another if the filter says so.
 * @param {string} name
 * @param {number} now milliseconds
 * @param {Record<string, any>} [filter]
 * @returns {Span}
 */
export function spanOf(name, now, filter = {}) {
  if (filter.from || filter.to) {
    const to = Date.parse(filter.to) || now;
    return span((Date.parse(filter.from) || to - 30 * DAY_S * 1000) / 1000, to / 1000);
  }
  const date = new Date(now);
  const month = (/** @type {number} */ ahead) => Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + ahead, 1) / 1000;
  if (name === "this_month") return span(month(0), now / 1000, DAY_S);
  if (name === "last_month") return span(month(-1), month(0), DAY_S);
  const back = (DAYS[name] ?? 1) * DAY_S;
  const step = back / HOUR_S > MOST_HOURS ? DAY_S : HOUR_S;
  const to = (Math.floor(now / 1000 / step) + 1) * step;
  return span(to - back, to);
}

/** @param {number} begin @param {number} end @param {number} [wanted] @returns {Span} */
function span(begin, end, wanted) {
  const step = wanted ?? ((end - begin) / HOUR_S > MOST_HOURS ? DAY_S : HOUR_S);
  const from = Math.floor(begin / step) * step;
  const count = Math.max(1, Math.ceil((end - from) / step));
  const times = Array.from({ length: count }, (_, at) => from + at * step);
  return { by: step === DAY_S ? "day" : "hour", from, to: from + count * step, step, times };
}

/** @param {{received_bytes: number, sent_bytes: number}} sum */
export const bytesOf = (sum) => sum.received_bytes + sum.sent_bytes;

/** Bytes at each time, 0 where there were none. @param {any[]} items @param {Span} over @returns {number[]} */
export function sums(items, { by, times }) {
  const found = new Map(
    items.map((one) => [Date.parse(by === "day" ? `${one.day}T00:00:00Z` : one.hour) / 1000, bytesOf(one)]),
  );
  return times.map((time) => found.get(time) ?? 0);
}

/**
 * What is left of the whole when parts are taken away.
 * @param {number[]} whole
 * @param {number[][]} parts
 */
export const rest = (whole, parts) =>
  whole.map((one, at) =>
    Math.max(
      0,
      parts.reduce((left, part) => left - part[at], one),
    ),
  );

/** Each part on top of those before it. @param {number[][]} parts */
export const stacked = (parts) =>
  parts.map((part, at) => part.map((_, time) => parts.slice(0, at + 1).reduce((sum, one) => sum + one[time], 0)));
