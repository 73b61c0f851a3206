// Steps of nodes on one axis of time. Pure.

/** @typedef {{state: string, at: string}} Step */
/** @typedef {{state: string, at: string, left: number, width: number}} Segment in percent of the axis */

const FINAL = ["done", "rolled_back", "failed", "skipped"];

/**
 * The axis of an upgrade: from its start to its end, or to now while it goes on.
 * @param {{created_at: string, updated_at: string, ended_at: string | null, state: string}} upgrade
 * @param {number} now milliseconds
 * @returns {{from: number, to: number}}
 */
export function axisOf({ created_at: began, updated_at: changed, ended_at: ended, state }, now) {
  const from = Date.parse(began);
  const to = state === "running" ? now : Math.max(Date.parse(changed), Date.parse(ended ?? began));
  return { from, to: Math.max(to, from + 1000) };
}

/**
 * What a node did, one segment for each state. A final state is a mark without a width.
 * @param {Step[]} steps
 * @param {{from: number, to: number}} axis
 * @returns {Segment[]}
 */
export function segments(steps, { from, to }) {
  const place = (/** @type {number} */ at) => (100 * (Math.min(Math.max(at, from), to) - from)) / (to - from);
  return steps
    .map(({ state, at }, index) => {
      const left = place(Date.parse(at));
      const end = index + 1 < steps.length ? place(Date.parse(steps[index + 1].at)) : 100;
      return { state, at, left, width: FINAL.includes(state) ? 0 : end - left };
    })
    .filter(({ state }) => state !== "waiting" && state !== "skipped");
}
