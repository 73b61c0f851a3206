import assert from "node:assert/strict";
import { test } from "node:test";
import { endpointOf, keptAt } from "../../../master/web/static/endpoint.js";
import { isPast, over } from "../../../master/web/static/feed.js";
import { rest, spanOf, stacked, sums } from "../../../master/web/static/spans.js";

const NOW = Date.parse("2026-11-30T15:20:00Z");
const at = (seconds) => new Date(seconds * 1000).toISOString();

test("a span ends with the hour or the day that it is in, so that the newest usage is part of it", () => {
  const day = spanOf("day", NOW);
  assert.deepEqual(
    [day.by, at(day.from), at(day.to)],
    ["hour", "2026-11-29T16:00:00.000Z", "2026-11-30T16:00:00.000Z"],
  );
  const month = spanOf("month", NOW);
  assert.deepEqual([month.by, month.times.length, at(month.to)], ["day", 30, "2026-12-01T00:00:00.000Z"]);
});

test("a month is one of the calendar, in UTC", () => {
  const last = spanOf("last_month", NOW);
  assert.deepEqual([at(last.from), at(last.to)], ["2026-10-01T00:00:00.000Z", "2026-11-01T00:00:00.000Z"]);
  assert.equal(at(spanOf("last_month", Date.parse("2026-01-05T00:00:00Z")).from), "2025-12-01T00:00:00.000Z");
  assert.deepEqual(at(spanOf("this_month", NOW).to), "2026-12-01T00:00:00.000Z");
});

test("a filter with times says the span, by day if it is long", () => {
  const some = spanOf("", NOW, { from: "2026-11-01", to: "2026-11-03T12:30:00Z" });
  assert.deepEqual(
    [some.by, at(some.from), at(some.to)],
    ["hour", "2026-11-01T00:00:00.000Z", "2026-11-03T13:00:00.000Z"],
  );
  assert.equal(spanOf("", NOW, { from: "2026-01-01" }).by, "day");
});

test("groups stand on one another, and what is in none of them comes last", () => {
  const span = spanOf("", NOW, { from: "2026-11-01", to: "2026-11-01T02:00:00Z" });
  const one = sums([{ hour: "2026-11-01T01:00:00Z", received_bytes: 2, sent_bytes: 3 }], span);
  assert.deepEqual(one, [0, 5]);
  const others = rest([4, 9], [one]);
  assert.deepEqual(others, [4, 4]);
  assert.deepEqual(stacked([one, others]), [
    [0, 5],
    [4, 9],
  ]);
});

test("new events come on top, each once, and rows that are there stay the same", () => {
  const rows = [{ id: 5 }, { id: 4 }];
  assert.deepEqual(
    over(rows, [{ id: 5 }, { id: 6 }, { id: 7 }]).map((one) => one.id),
    [7, 6, 5, 4],
  );
  assert.equal(over(rows, [{ id: 5 }]), rows);
});

test("a query that ends at a time shows the past", () => {
  assert.equal(isPast({ until: "2026-11-01T00:00:00Z" }), true);
  assert.equal(isPast({ since: "2026-11-01T00:00:00Z" }), false);
});

test("an endpoint is read as people paste it", () => {
  const read = { ip: "203.0.113.7", port: "20000" };
  assert.deepEqual(endpointOf(" 203.0.113.7:20000 "), read);
  assert.deepEqual(endpointOf("socks5://user:pass@203.0.113.7:20000/"), read);
  assert.deepEqual(endpointOf("[2001:db8::1]:80"), { ip: "2001:db8::1", port: "80" });
  assert.deepEqual(endpointOf("2001:db8::1"), { ip: "2001:db8::1" });
});

test("a history that is kept for so many days says which times it does not know", () => {
  const days = (/** @type {number} */ ago) => NOW - ago * 86_400_000;
  assert.deepEqual(
    [days(-1), days(1), days(181)].map((one) => keptAt(one, NOW, 180)),
    ["future", "kept", "forgotten"],
  );
});
