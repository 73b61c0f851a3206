// Numbers, sizes, speeds and times in the reader's language.
import { shown } from "./words.js";

/** @type {Map<string, any>} */
const kept = new Map();

/** @template T @param {string} name @param {(locale: string) => T} make @returns {T} */
function localized(name, make) {
  const locale = shown.value;
  const key = `${locale} ${name}`;
  if (!kept.has(key)) kept.set(key, make(locale));
  return kept.get(key);
}

/** @typedef {number | null | undefined} Maybe */
/** @typedef {string | number | Date | null | undefined} Moment */

export const NONE = "–";
const SIZES = { en: ["B", "kB", "MB", "GB", "TB", "PB"], ru: ["Б", "кБ", "МБ", "ГБ", "ТБ", "ПБ"] };
/** Times of day have 24 hours in every language. */
const TIMES = { en: "en-GB", ru: "ru" };

/** @param {Maybe} value */
export const number = (value) =>
  value == null ? NONE : localized("number", (l) => new Intl.NumberFormat(l)).format(value);

/** 12,345 as 12K. @param {Maybe} value */
export const compact = (value) =>
  value == null ? NONE : localized("compact", (l) => new Intl.NumberFormat(l, { notation: "compact" })).format(value);

/** A fraction as a percentage. @param {Maybe} value */
export const percent = (value) =>
  value == null ? NONE : localized("percent", (l) => new Intl.NumberFormat(l, { style: "percent" })).format(value);

/**
 * Finds the power of 1000 in which a value is written.
 * @param {number} value
 * @param {number} highest
 */
function scale(value, highest) {
  let power = 0;
  while (Math.abs(value) >= 999.5 && power < highest) {
    value /= 1000;
    power += 1;
  }
  return { value, power };
}

/** @param {number} value @param {string[]} units */
function scaledText(value, units) {
  const scaled = scale(value, units.length - 1);
  const digits = localized("digits", (l) => new Intl.NumberFormat(l, { maximumSignificantDigits: 3 }));
  return `${digits.format(scaled.value)} ${units[scaled.power]}`;
}

/** @param {Maybe} value */
export const bytes = (value) => (value == null ? NONE : scaledText(value, SIZES[shown.value]));

const SPEEDS = {
  en: ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"],
  ru: ["бит/с", "кбит/с", "Мбит/с", "Гбит/с", "Тбит/с"],
};

/** @param {Maybe} value bits per second */
export const speed = (value) => (value == null ? NONE : scaledText(value, SPEEDS[shown.value]));

/** @param {string} name @param {Intl.DateTimeFormatOptions} options @param {Moment} at */
const moment = (name, options, at) =>
  at == null ? NONE : localized(name, () => new Intl.DateTimeFormat(TIMES[shown.value], options)).format(new Date(at));

/** @param {Moment} at */
export const time = (at) => moment("time", { dateStyle: "medium", timeStyle: "medium" }, at);

/** @param {Moment} at */
export const day = (at) => moment("day", { dateStyle: "medium" }, at);

/** The day in UTC, by which usage is summed up. @param {Moment} at */
export const utcDay = (at) => moment("utc day", { dateStyle: "medium", timeZone: "UTC" }, at);

/** The time of day alone. @param {Moment} at */
export const clock = (at) => moment("clock", { timeStyle: "medium" }, at);

/** A moment of a log: the day only if it is not today. @param {Moment} at */
export const logged = (at) =>
  day(at) === day(Date.now())
    ? clock(at)
    : moment("logged", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" }, at);

/** A mark on an axis of time: the day, or the time of day. @param {number} seconds @param {boolean} isDaily */
export const tick = (seconds, isDaily) =>
  isDaily
    ? moment("tick day", { day: "numeric", month: "short" }, seconds * 1000)
    : moment("tick hour", { hour: "2-digit", minute: "2-digit" }, seconds * 1000);

/** @type {[Intl.RelativeTimeFormatUnit, number][]} */
const STEPS = [
  ["year", 31_536_000],
  ["month", 2_592_000],
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
  ["second", 1],
];

/** "3 minutes ago", or "in 2 days". @param {Moment} moment @param {number} [now] */
export function ago(moment, now = Date.now()) {
  if (moment == null) return NONE;
  const seconds = (new Date(moment).getTime() - now) / 1000;
  const [unit, size] = STEPS.find(([, one]) => Math.abs(seconds) >= one) ?? ["second", 1];
  const words = localized("ago", (l) => new Intl.RelativeTimeFormat(l, { numeric: "auto", style: "short" }));
  return words.format(Math.trunc(seconds / size), unit);
}

/** A length of time in its two largest units. @param {Maybe} seconds */
export function duration(seconds) {
  if (seconds == null) return NONE;
  if (seconds < 1 && seconds > 0) return unit(Math.round(seconds * 1000), "millisecond");
  const at = STEPS.findIndex(([, size]) => seconds >= size);
  const [first, second] = at < 0 ? [STEPS[5], undefined] : [STEPS[at], STEPS[at + 1]];
  const rest = second ? Math.floor((seconds % first[1]) / second[1]) : 0;
  const whole = unit(Math.floor(seconds / first[1]), first[0]);
  return second && rest > 0 ? `${whole} ${unit(rest, second[0])}` : whole;
}

/** Seconds with one digit after the point. @param {number} seconds */
export const tenths = (seconds) =>
  localized("tenths", (l) => new Intl.NumberFormat(l, { minimumFractionDigits: 1, maximumFractionDigits: 1 })).format(
    seconds,
  );

/** @param {number} value @param {string} name */
function unit(value, name) {
  /** @type {Intl.NumberFormatOptions} */
  const options = { style: "unit", unit: name, unitDisplay: "short" };
  return localized(`unit ${name}`, (l) => new Intl.NumberFormat(l, options)).format(value);
}
