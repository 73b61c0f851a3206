import assert from "node:assert/strict";
import { test } from "node:test";
import { added } from "../../../master/web/static/changes.js";
import { frames } from "../../../master/web/static/sse.js";

test("frames are read as they come, and half of one waits", () => {
  const [found, rest] = frames('retry: 1000\n\nid: 7\nevent: node.online\ndata: {"id": 7}\n\n:\nid: 9\n\n:\n\nid: 1');
  assert.deepEqual(
    found.filter((one) => one.id || one.data),
    [
      { id: "7", type: "node.online", data: '{"id": 7}' },
      { id: "9", type: "message", data: null },
    ],
  );
  assert.equal(rest, "id: 1");
});

test("an event names what has changed by its subjects", () => {
  const event = { id: 5, type: "proxy.updated", proxy_id: 17, node_id: 1, stack_id: null, location_id: 2 };
  const changes = added(new Map(), { type: "event", event });
  assert.deepEqual([...changes.get("proxies")], [17]);
  assert.deepEqual([...changes.get("nodes")], [1]);
  assert.equal(changes.has("stacks"), false);
});

test("more than 200 ids are all of them, and so is a reset", () => {
  const many = Array.from({ length: 201 }, (_, at) => at);
  assert.equal(added(new Map(), { type: "touched", kind: "proxies", ids: many }).get("proxies"), null);
  assert.equal(added(new Map(), { type: "reset", reason: "forgotten" }).get("nodes"), null);
});
