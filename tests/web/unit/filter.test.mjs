import assert from "node:assert/strict";
import { test } from "node:test";
import {
  completions,
  filterOf,
  negated,
  queryOf,
  terms,
  text,
  words,
  wordsOf,
} from "../../../master/web/static/filter.js";

const TERMS = [
  { name: "state", values: ["failed", "running"] },
  { name: "node", values: ["fra-1"] },
  { name: "q", positive: true },
];

test("typed words become query parameters, and bare words a search", () => {
  assert.deepEqual(words('state=failed -node:fra-1 not.label=tier name="a b" 10.0'), [
    { name: "state", value: "failed" },
    { name: "not.node", value: "fra-1" },
    { name: "not.label", value: "tier" },
    { name: "name", value: "a b" },
    { name: "q", value: "10.0" },
  ]);
});

test("words and query are the same thing, and what is no filter stays", () => {
  const query = { state: ["failed", "unknown"], label: ["customer:7"], sort: "-id" };
  assert.deepEqual(queryOf(wordsOf(query), query), query);
  assert.deepEqual(filterOf(query), { state: ["failed", "unknown"], label: ["customer:7"] });
});

test("a word given twice counts once", () => {
  assert.deepEqual(queryOf(words("state=failed state=failed")), { state: ["failed"] });
});

test("a value with a space is quoted and read back", () => {
  assert.deepEqual(words(text({ name: "name", value: "a b" })), [{ name: "name", value: "a b" }]);
});

test("to exclude twice is to include", () => {
  assert.deepEqual(negated(negated({ name: "state", value: "x" })), { name: "state", value: "x" });
});

test("names are completed first, then their values, excluded ones too", () => {
  assert.deepEqual(completions("st", TERMS), [{ text: "state=", isDone: false }]);
  assert.deepEqual(completions("state=f", TERMS), [{ text: "state=failed", isDone: true }]);
  assert.deepEqual(completions("not.state=R", TERMS), [{ text: "not.state=running", isDone: true }]);
  assert.deepEqual(
    completions("not.", TERMS).map((one) => one.text),
    ["not.state=", "not.node="],
  );
});

test("the document of the API says which words there are", () => {
  const parameters = [
    { name: "state", schema: { anyOf: [{ type: "array", items: { enum: ["failed"] } }, { type: "null" }] } },
    { name: "not.state", schema: {} },
    { name: "enabled", schema: { anyOf: [{ type: "boolean" }, { type: "null" }] } },
    { name: "limit", schema: { type: "integer" } },
  ];
  assert.deepEqual(terms(parameters, {}), [
    { name: "state", values: ["failed"], positive: false },
    { name: "enabled", values: ["true", "false"], positive: true },
  ]);
});
