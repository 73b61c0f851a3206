import assert from "node:assert/strict";
import { test } from "node:test";
import { matrixOf, together } from "../../../master/web/static/capacity.js";
import { customersOf, sorted } from "../../../master/web/static/customers.js";
import { fieldsOf } from "../../../master/web/static/schema.js";
import { putCall, thereOf } from "../../../master/web/static/stacks.js";

const counted = (value, count, more = {}) => ({
  labels: { customer: value },
  count,
  connections: null,
  rx_bps: null,
  tx_bps: null,
  next_expiry: null,
  ...more,
});

const customers = () =>
  customersOf(
    "customer",
    [
      counted("10", 5, { connections: 2, rx_bps: 10, tx_bps: 30 }),
      counted("9", 3, { next_expiry: "2026-01-01" }),
      counted(null, 70),
    ],
    [counted("10", 1, { state: "failed" }), counted("10", 2, { state: "stopped" })],
    [{ labels: { customer: "9" }, received_bytes: 1, sent_bytes: 4 }],
  );

test("a customer's running proxies are those that no other state has, and its next expiry is the one that was counted", () => {
  const [ten, nine] = customers();
  assert.deepEqual(ten.states, { failed: 1, stopped: 2, running: 2 });
  assert.deepEqual([ten.rate, ten.bytes, ten.expires_at], [40, 0, null]);
  assert.deepEqual([nine.rate, nine.bytes, nine.expires_at], [null, 5, "2026-01-01"]);
  assert.equal(customers().length, 2);
});

test("customers keep their row's id, and are sorted by number where their names are numbers", () => {
  const names = (sort) => sorted(customers(), sort).map((one) => one.customer);
  assert.deepEqual(names("customer"), ["9", "10"]);
  assert.deepEqual(names("-count"), ["10", "9"]);
  assert.deepEqual(names("-expires_at"), ["9", "10"]);
  assert.deepEqual(
    customers().map((one) => one.id),
    customers().map((one) => one.id),
  );
});

test("a location's capacity is that of its active nodes, and its use that of all", () => {
  const node = (state, count, missing = 0) => ({
    state,
    limits: { ports: "20000-20009", max_proxies: 8 },
    status: { state: state === "active" ? "online" : "offline", count, missing },
  });
  const sums = together([node("active", 3, 1), node("active", 8, 4), node("draining", 5)]);
  assert.deepEqual(sums, { nodes: 3, online: 2, used: 21, capacity: 16, free: 4 });
});

test("moves are counted from node to node", () => {
  const move = (from, to) => ({ from_node_id: from, to_node_id: to });
  const { from, to, count } = matrixOf([move(10, 2), move(9, 2), move(10, 2), move(10, 1)]);
  assert.deepEqual(
    [from, to],
    [
      [9, 10],
      [1, 2],
    ],
  );
  assert.deepEqual([count(10, 2), count(10, 1), count(9, 1)], [2, 1, 0]);
});

test("the call that puts a stack names it in its path and sends what the API knows alone", () => {
  const stack = {
    id: 1,
    name: "a b",
    count: 2,
    spread: "nodes",
    proxy: {},
    labels: {},
    version: 4,
    status: { running: 1, failed: 2 },
  };
  assert.deepEqual(putCall(stack), {
    method: "PUT",
    path: "/stacks/by-name/a%20b",
    body: { count: 2, spread: "nodes", proxy: {}, labels: {} },
  });
  assert.equal(thereOf(stack), 3);
});

test("a list of which only one item is possible is a choice", () => {
  const rotate = { type: "array", items: { const: "credentials", type: "string" } };
  const [field] = fieldsOf({ components: { schemas: { Claim: { properties: { rotate } } } } }, "Claim");
  assert.deepEqual([field.kind, field.options], ["choices", ["credentials"]]);
});
