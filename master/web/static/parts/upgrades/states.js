// States of upgrades and of their nodes, by the colours that states have elsewhere.
import { html } from "../../view.js";
import { t } from "../../words.js";
import { StateBar } from "../elements/states.js";

/** @type {Record<string, string>} the state of a proxy that has the same colour */
const TONES = {
  running: "pending",
  paused: "unknown",
  halted: "failed",
  aborted: "stopped",
  done: "running",
  waiting: "stopped",
  asked: "pending",
  fetching: "pending",
  restarting: "pending",
  soaking: "limited",
  rolled_back: "failed",
  failed: "failed",
  unreachable: "unknown",
  skipped: "stopped",
};

/** @param {string} state */
export const tone = (state) => TONES[state] ?? "stopped";

/** @param {string} state */
export const stateWords = (state) => t(`upgrade_state.${state}`);

/** @param {{state: string}} props */
export function UpgradeBadge({ state }) {
  return html`<span class=${`badge ${tone(state)}`}>${stateWords(state)}</span>`;
}

/** How far the nodes are, as a bar and as words. @param {{counts: Record<string, number>}} props */
export function Progress({ counts }) {
  /** @type {Record<string, number>} */
  const sums = {};
  for (const [state, count] of Object.entries(counts)) sums[tone(state)] = (sums[tone(state)] ?? 0) + count;
  const words = Object.keys(TONES).filter((state) => counts[state] > 0);
  return html`<div class="upgrade-progress"><${StateBar} counts=${sums} order=${["running", "limited", "pending", "failed", "unknown", "stopped"]} />
    <small>${words.map((state) => `${stateWords(state)} ${counts[state]}`).join(" · ")}</small></div>`;
}

/** Whether the upgrade may still ask nodes. @param {string} state */
export const isOpen = (state) => ["running", "paused", "halted"].includes(state);
