import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { curl, quoted, throughProxy } from "../../../master/web/static/curl.js";
import { address, read, without } from "../../../master/web/static/query.js";

test("a query without values is no query, and a list repeats its member", () => {
  assert.equal(address("/nodes", { state: undefined, location: null }), "/nodes");
  assert.equal(
    address("/proxies", { id: [1, 2], label: "customer:7", q: "a b&c" }),
    "/proxies?id=1&id=2&label=customer:7&q=a%20b%26c",
  );
});

test("a query that was written is read as it was", () => {
  const query = { "not.state": ["failed", "unknown"], label: "customer:ü&=", q: "x" };
  assert.deepEqual(read(address("", query).slice(1)), query);
  assert.deepEqual(without(query, "q", "label"), { "not.state": ["failed", "unknown"] });
});

test("a shell reads each quoted word as it was", () => {
  for (const word of ["plain", "", "it's", 'a "b" $HOME `c`', "two\nlines", "!x *"]) {
    assert.equal(execFileSync("sh", ["-c", `printf %s ${quoted(word)}`], { encoding: "utf8" }), word);
  }
});

test("a write is a command with its headers and body", () => {
  const call = {
    method: "PATCH",
    path: "/proxies/7",
    query: { dry_run: true },
    body: { name: "it's" },
    headers: { "If-Match": '"3"' },
  };
  const command = curl(call, "http://127.0.0.1:3005").replace(/^curl/, "printf '%s|'");
  const words = execFileSync("sh", ["-c", command], { encoding: "utf8" }).split("|").slice(0, -1);
  assert.deepEqual(words, [
    "-X",
    "PATCH",
    "http://127.0.0.1:3005/proxies/7?dry_run=true",
    "-H",
    "Content-Type: application/json",
    "-H",
    'If-Match: "3"',
    "-d",
    '{"name":"it\'s"}',
  ]);
});

test("curl is shown the certificate of a proxy that made it itself", () => {
  const url = "https://alice:wonder@192.0.2.7:20000";
  assert.equal(throughProxy(url, "https://example.com/"), `curl -x ${quoted(url)} https://example.com/`);
  assert.equal(
    throughProxy(url, "https://example.com/", "node-1.pem"),
    `curl --proxy-cacert node-1.pem -x ${quoted(url)} https://example.com/`,
  );
});
