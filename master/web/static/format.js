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
const UNITS = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte", "petabyte"];

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

/** @param {Maybe} value */
export function bytes(value) {
  if (value == null) return NONE;
  const scaled = scale(value, UNITS.length - 1);
  const unit = UNITS[scaled.power];
  /** @type {Intl.NumberFormatOptions} */
  const options = { style: "unit", unit, unitDisplay: "short", maximumSignificantDigits: 3 };
  return localized(`bytes ${unit}`, (l) => new Intl.NumberFormat(l, options)).format(scaled.value);
}

const SPEEDS = {
  en: ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"],
  ru: ["бит/с", "кбит/с", "Мбит/с", "Гбит/с", "Тбит/с"],
};

/** @param {Maybe} value bits per second */
export function speed(value) {
  if (value == null) return NONE;
  const scaled = scale(value, 4);
  const digits = localized("speed", (l) => new Intl.NumberFormat(l, { maximumSignificantDigits: 3 }));
  return `${digits.format(scaled.value)} ${SPEEDS[shown.value][scaled.power]}`;
}

/** @param {Moment} moment */
export function time(moment) {
  if (moment == null) return NONE;
  /** @type {Intl.DateTimeFormatOptions} */
  const options = { dateStyle: "short", timeStyle: "medium" };
  return localized("time", (l) => new Intl.DateTimeFormat(l, options)).format(new Date(moment));
}

/** @param {Moment} moment */
export function day(moment) {
  if (moment == null) return NONE;
  return localized("day", (l) => new Intl.DateTimeFormat(l, { dateStyle: "medium" })).format(new Date(moment));
}

/** The time of day alone. @param {Moment} moment */
export function clock(moment) {
  if (moment == null) return NONE;
  return localized("clock", (l) => new Intl.DateTimeFormat(l, { timeStyle: "medium" })).format(new Date(moment));
}

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

/** @param {number} value @param {string} name */
function unit(value, name) {
  /** @type {Intl.NumberFormatOptions} */
  const options = { style: "unit", unit: name, unitDisplay: "short" };
  return localized(`unit ${name}`, (l) => new Intl.NumberFormat(l, options)).format(value);
}
