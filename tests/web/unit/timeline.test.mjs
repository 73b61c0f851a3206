// Steps of upgrades on a line of time.
import assert from "node:assert/strict";
import test from "node:test";
import { axisOf, segments } from "../../../master/web/static/timeline.js";

const at = (seconds) => new Date(Date.UTC(2026, 4, 1, 10, 0, seconds)).toISOString();
const AXIS = { from: Date.parse(at(0)), to: Date.parse(at(100)) };

test("a node's states are segments that follow each other, and its end is a mark", () => {
  const steps = [
    { state: "waiting", at: at(0) },
    { state: "asked", at: at(10) },
    { state: "fetching", at: at(20) },
    { state: "done", at: at(70) },
  ];
  const found = segments(steps, AXIS).map(({ state, left, width }) => [state, left, width]);
  assert.deepEqual(found, [
    ["asked", 10, 10],
    ["fetching", 20, 50],
    ["done", 70, 0],
  ]);
});

test("the state that a node is in lasts to the end of the axis, and nothing lies beyond it", () => {
  assert.deepEqual(
    segments([{ state: "soaking", at: at(60) }], AXIS).map(({ width }) => width),
    [40],
  );
  assert.deepEqual(
    segments([{ state: "asked", at: at(500) }], AXIS).map(({ left, width }) => [left, width]),
    [[100, 0]],
  );
});

test("the axis goes to now while the upgrade goes on, and otherwise to its last change", () => {
  const upgrade = { created_at: at(0), updated_at: at(50), ended_at: null, state: "running" };
  assert.deepEqual(axisOf(upgrade, Date.parse(at(90))), { from: Date.parse(at(0)), to: Date.parse(at(90)) });
  assert.equal(axisOf({ ...upgrade, state: "halted" }, Date.parse(at(90))).to, Date.parse(at(50)));
  assert.equal(axisOf({ ...upgrade, updated_at: at(0), state: "done" }, Date.parse(at(0))).to, Date.parse(at(1)));
});
