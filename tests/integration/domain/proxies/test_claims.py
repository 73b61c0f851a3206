"""Proxies that nobody has yet are claimed, each once."""

import asyncio
from typing import Any

import pytest

from tests.integration.conftest import Api
from tests.integration.domain.test_bulk import many

SOLD = {"customer": "7"}


async def stock(api: Api, *counts: int) -> list[int]:
    """Nodes with so many proxies each."""
    nodes = [await api.node() for _ in counts]
    for node, count in zip(nodes, counts, strict=True):
        await many(api, node, count)
        await api.report(node)
    return nodes


async def claim(api: Api, count: int, status: int = 200, *, query: str = "", **more: Any) -> Any:
    return await api.call("POST", f"/proxies/claim{query}", status, json={"count": count, "labels": SOLD, **more})


def ids_of(answer: Any) -> list[int]:
    return [proxy["id"] for proxy in answer["items"]]


async def test_a_claim_gives_labels_to_proxies_that_have_none_of_these_keys(api: Api):
    await stock(api, 3)
    first = await claim(api, 2)
    assert [(proxy["labels"], proxy["version"]) for proxy in first["items"]] == [(SOLD, 2)] * 2
    problem = await claim(api, 2, 409, labels={"customer": "8"})
    assert (problem["type"], problem["wanted"], problem["possible"]) == ("/problems/too-few-proxies", 2, 1)
    assert await api.rows.fetchval("SELECT count(*) FROM proxies WHERE labels = '{}'") == 1
    second = await claim(api, 1, labels={"customer": "8"})
    assert sorted(ids_of(first) + ids_of(second)) == [1, 2, 3]


async def test_sellers_at_the_same_time_never_get_the_same_proxy(api: Api):
    await stock(api, 10, 10, 10)
    async with asyncio.TaskGroup() as group:
        claims = [group.create_task(claim(api, 5, labels={"customer": str(n)})) for n in range(6)]
    assert sorted(id_ for one in claims for id_ in ids_of(one.result())) == list(range(1, 31))
    assert (await claim(api, 1, 409))["possible"] == 0


async def test_a_claim_waits_for_nobody_who_changes_other_nodes(api: Api):
    busy, _ = await stock(api, 1, 1)
    async with api.rows.transaction():
        await api.rows.execute("SELECT FROM nodes WHERE id = $1 FOR UPDATE", busy)
        assert ids_of(await claim(api, 1, filter={"not.node_id": busy})) == [2]


async def test_only_proxies_that_run_or_soon_will_are_claimed_and_those_that_run_first(api: Api):
    node, other = await stock(api, 3, 1)
    await api.proxy(other, enabled=False)
    await api.fail(1, "port 20000 is taken")
    await api.call("PATCH", "/proxies/2", 200, json={"port": 20_500})
    assert ids_of(await claim(api, 2)) == [3, 4]
    assert (await claim(api, 2, 409))["possible"] == 1
    await api.report(node, online=False)
    assert (await claim(api, 1, 409))["possible"] == 0


async def test_a_filter_is_that_of_the_list(api: Api):
    node, other = await stock(api, 1, 2)
    await api.call("PATCH", "/proxies/2", 200, json={"labels": {"tier": "gold"}})
    assert ids_of(await claim(api, 1, filter={"node": f"node-{other}", "label": ["tier:gold"]})) == [2]
    assert ids_of(await claim(api, 1, filter={"not.node_id": [node], "protocol": "mixed"})) == [3]
    await claim(api, 1, 422, filter={"nod_id": 1})


async def test_a_claimed_proxy_may_get_limits_and_a_new_login(api: Api):
    await stock(api, 1)
    [proxy] = (await claim(api, 1, limits={"connections": 9}, rotate=["credentials"]))["items"]
    assert (proxy["limits"]["connections"], len(proxy["password"])) == (9, 20)
    assert (proxy["username"], proxy["password"]) != ("ann", "secret")
    [event] = (await api.call("GET", "/events?type=proxy.updated", 200))["items"]
    assert event["details"]["changed"] == ["labels", "limits", "password", "username"]


async def test_a_login_that_a_rotation_still_serves_is_not_sold(api: Api):
    node, _ = await stock(api, 1, 1)
    await api.proxy(node, username=None, allow_ips=["10.0.0.0/8"])
    await api.report(node)
    await api.call("POST", "/proxies/1/rotate", 202, json={"what": ["credentials"]})
    assert (await claim(api, 2, 409, rotate=["credentials"]))["possible"] == 1
    assert ids_of(await claim(api, 3)) == [1, 2, 3]


async def test_a_claim_is_rehearsed_and_repeated_without_a_second_one(api: Api):
    await stock(api, 2)
    rehearsed = await claim(api, 1, query="?dry_run=true")
    assert rehearsed["changed"] == [{"proxy_id": 1, "node_id": 1, "changed": ["labels"]}]
    key = {"Idempotency-Key": "sale-1"}
    answers = [
        await api.call("POST", "/proxies/claim", 200, json={"count": 1, "labels": SOLD}, headers=key) for _ in range(2)
    ]
    assert answers[0] == answers[1]
    assert ids_of(answers[0]) == [1]
    assert ids_of(await claim(api, 1)) == [2]


async def test_a_claim_waits_for_its_nodes_if_asked_to(api: Api):
    await stock(api, 1)
    answer = await api.http.post("/proxies/claim", json={"count": 1, "labels": SOLD}, headers={"Prefer": "wait=0"})
    assert (answer.status_code, answer.json()["items"][0]["status"]["state"]) == (202, "pending")


@pytest.mark.parametrize(
    "body", [{"count": 0, "labels": SOLD}, {"count": 1, "labels": {}}, {"count": 1, "labels": SOLD, "rotate": ["port"]}]
)
async def test_a_claim_that_asks_for_nothing_is_refused(api: Api, body: dict[str, Any]):
    await api.call("POST", "/proxies/claim", 422, json=body)
