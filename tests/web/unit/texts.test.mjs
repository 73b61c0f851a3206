import assert from "node:assert/strict";
import { test } from "node:test";
import { bytes, duration, speed } from "../../../master/web/static/format.js";
import { routeOf } from "../../../master/web/static/router.js";
import { changed, fieldsOf, labelsOf, listOf } from "../../../master/web/static/schema.js";
import { shown, written } from "../../../master/web/static/words.js";

test("a text takes the plural form of its number, four of them in Russian", () => {
  const forms = { one: "{n} узел", few: "{n} узла", many: "{n} узлов", other: "{n} узла" };
  const texts = [1, 2, 5, 1.5].map((n) => written(forms, { n }, "ru"));
  assert.deepEqual(texts, ["1 узел", "2 узла", "5 узлов", "1,5 узла"]);
});

test("numbers are written with the unit that fits", () => {
  shown.value = "en";
  assert.deepEqual([bytes(0), bytes(1500), bytes(2_340_000_000), bytes(null)], ["0 B", "1.5 kB", "2.34 GB", "–"]);
  assert.deepEqual([speed(8_000_000), speed(999)], ["8 Mbit/s", "999 bit/s"]);
  assert.deepEqual([duration(0.031), duration(75), duration(90_000)], ["31 ms", "1 min 15 sec", "1 day 1 hr"]);
});

test("an address leads to a screen, with its id and filter", () => {
  assert.deepEqual(routeOf("#/proxies?label=customer:7&state=failed&state=unknown"), {
    path: "/proxies",
    query: { label: "customer:7", state: ["failed", "unknown"] },
    screen: "proxies",
    params: {},
  });
  assert.deepEqual([routeOf("#/nodes/7").params, routeOf("#/nodes/enrol").screen], [{ id: "7" }, "enrol"]);
  assert.deepEqual([routeOf("").screen, routeOf("#/nosuch").screen], ["overview", "missing"]);
});

test("the fields of a form come from the schema, groups and choices included", () => {
  const limits = { properties: { bytes: { anyOf: [{ type: "integer", minimum: 1 }, { type: "null" }] } } };
  const schema = {
    required: ["ip"],
    properties: {
      ip: { type: "string" },
      kind: { enum: ["a", "b"], default: "a" },
      limits: { $ref: "#/components/schemas/Limits" },
    },
  };
  const [ip, kind, group] = fieldsOf({ components: { schemas: { Body: schema, Limits: limits } } }, "Body");
  assert.deepEqual(
    [ip.kind, ip.required, kind.kind, kind.options, kind.initial],
    ["text", true, "choice", ["a", "b"], "a"],
  );
  assert.deepEqual([group.kind, group.fields[0].pointer, group.fields[0].limits.min], ["group", "/limits/bytes", 1]);
});

test("a body changes by pointer, and an empty group goes", () => {
  const body = changed({}, "/limits/bytes", 5);
  assert.deepEqual(body, { limits: { bytes: 5 } });
  assert.deepEqual(changed(body, "/limits/bytes", undefined), {});
});

test("lists and labels are read as they are typed", () => {
  assert.deepEqual(listOf("1, 2\n3"), ["1", "2", "3"]);
  assert.deepEqual(labelsOf("customer:7, tier = gold\nold:null"), { customer: "7", tier: "gold", old: null });
});
