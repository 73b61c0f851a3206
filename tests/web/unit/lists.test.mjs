import assert from "node:assert/strict";
import { test } from "node:test";
import { comparison, placed } from "../../../master/web/static/order.js";
import { asFilter, everything, extended, has, NOTHING, page, toggled } from "../../../master/web/static/selection.js";

const row = (id, name = `n${id}`) => ({ id, name });
const ids = (rows) => rows.map((one) => one.id);

test("rows stand in the order of the API, and those without the value come last", () => {
  const rows = [row(1, "b"), row(2, null), row(3, "a"), row(4, "a")];
  assert.deepEqual(ids([...rows].sort(comparison("name"))), [3, 4, 1, 2]);
  assert.deepEqual(ids([...rows].sort(comparison("-name"))), [1, 4, 3, 2]);
});

test("a row that no longer matches goes, and a changed one is replaced where it stands", () => {
  const rows = [row(1), row(2), row(3)];
  assert.deepEqual(placed(rows, new Set([2, 3]), [row(3, "new")], "id", true), [row(1), row(3, "new")]);
});

test("a new row stands in its place, and waits for its page when that was not read", () => {
  const rows = [row(2), row(5)];
  assert.deepEqual(ids(placed(rows, new Set([3, 9]), [row(3), row(9)], "id", false)), [2, 3, 5]);
  assert.deepEqual(ids(placed(rows, new Set([3, 9]), [row(3), row(9)], "id", true)), [2, 3, 5, 9]);
  assert.deepEqual(ids(placed([row(5), row(2)], new Set([9]), [row(9)], "-id", false)), [9, 5, 2]);
});

test("a row whose name changed moves to its new place", () => {
  assert.deepEqual(ids(placed([row(1, "a"), row(2, "b")], new Set([1]), [row(1, "c")], "name", true)), [2, 1]);
});

test("rows, ranges and pages are selected and deselected", () => {
  const order = [5, 3, 8, 1];
  const one = toggled(NOTHING, 3);
  assert.deepEqual([...extended(one, 1, order).ids], [3, 8, 1]);
  assert.deepEqual([...toggled(one, 3).ids], []);
  assert.deepEqual([...page(one, order).ids], order);
  assert.equal(page(page(one, order), order), NOTHING);
});

test("a bulk write names the rows, or the filter of the list", () => {
  assert.deepEqual(asFilter(toggled(toggled(NOTHING, 8), 3), { state: "failed" }), { id: [3, 8] });
  assert.deepEqual(asFilter(everything(), { state: "failed" }), { state: "failed" });
  assert.deepEqual(asFilter(everything(), {}), { all: true });
  assert.ok(has(everything(), 77));
});
