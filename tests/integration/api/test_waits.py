"""Prefer: wait holds an answer until the nodes have confirmed, and holds nothing else."""

import asyncio
from typing import Any

import httpx

from tests.integration.conftest import Api

WAIT = {"Prefer": "wait=10"}


async def answered(api: Api, node: int, request: Any) -> httpx.Response:
    """The answer to a request that waits until the node, a moment after the write, confirms."""
    before = await api.rows.fetchval("SELECT revision FROM nodes WHERE id = $1", node)
    async with asyncio.TaskGroup() as group, asyncio.timeout(20):
        waiting = group.create_task(request)
        while await api.rows.fetchval("SELECT revision FROM nodes WHERE id = $1", node) == before:
            await asyncio.sleep(0.01)
        assert not waiting.done()
        await api.report(node)
    return waiting.result()


async def test_a_new_proxy_is_answered_when_it_runs(api: Api):
    node = await api.node()
    answer = await answered(api, node, api.http.post("/proxies", json={"node_ids": [node]}, headers=WAIT))
    assert (answer.status_code, answer.json()["status"]["state"]) == (201, "running")
    assert answer.headers["preference-applied"] == "wait=10"
    assert answer.headers["location"] == f"/proxies/{answer.json()['id']}"


async def test_a_failure_is_an_answer_as_well(api: Api):
    node = await api.node()
    id_ = (await api.proxy(node))["id"]
    await api.fail(id_, "port 20000 is taken")
    answer = await api.http.patch(f"/proxies/{id_}", json={"enabled": True}, headers=WAIT)
    assert (answer.status_code, answer.json()["status"]["state"]) == (200, "failed")


async def test_a_changed_proxy_is_answered_when_the_change_runs(api: Api):
    node = await api.node()
    id_ = (await api.proxy(node))["id"]
    await api.report(node)
    answer = await answered(api, node, api.http.patch(f"/proxies/{id_}", json={"password": "fresh"}, headers=WAIT))
    assert (answer.status_code, answer.headers["etag"]) == (200, '"2"')
    assert answer.json()["status"]["observed_version"] == 2


async def test_a_removal_is_answered_when_it_is_confirmed(api: Api):
    node = await api.node()
    id_ = (await api.proxy(node))["id"]
    await api.report(node)
    answer = await answered(api, node, api.http.delete(f"/proxies/{id_}", headers=WAIT))
    assert (answer.status_code, answer.content) == (204, b"")


async def test_a_change_by_filter_is_answered_when_it_is_confirmed(api: Api):
    node = await api.node()
    await api.proxy(node)
    await api.report(node)
    request = api.http.request("DELETE", "/proxies?all=true&expect=1", headers=WAIT)
    assert (await answered(api, node, request)).status_code == 200


async def test_when_the_time_is_over_the_answer_is_202(api: Api):
    node = await api.node()
    brief = {"Prefer": "wait=0"}
    made = await api.http.post("/proxies", json={"node_ids": [node]}, headers=brief)
    path = f"/proxies/{made.json()['id']}"
    changed = await api.http.patch(path, json={"password": "fresh"}, headers=brief)
    removed = await api.http.delete(path, headers=brief)
    assert [made.status_code, changed.status_code, removed.status_code] == [202, 202, 202]
    assert [one.headers["preference-applied"] for one in (made, changed, removed)] == ["wait=0"] * 3


async def test_nobody_else_waits_for_those_who_wait(api: Api):
    node = await api.node()
    async with asyncio.TaskGroup() as group, asyncio.timeout(30):
        for _ in range(20):
            group.create_task(api.http.post("/proxies", json={"node_ids": [node]}, headers=WAIT))
        while await api.rows.fetchval("SELECT count(*) FROM proxies") < 20:
            await asyncio.sleep(0.01)
        await api.call("PATCH", f"/nodes/{node}", 200, json={"labels": {"a": "1"}})
        await api.report(node)
