"""What a token with a filter reads: its part of the fleet, and nothing that names the rest."""

from typing import Any

import pytest

from tests.integration.conftest import Api
from tests.master.narrowed import narrowed


async def get(api: Api, path: str, status: int = 200, **filter_: str | int) -> Any:
    """The answer to a token with this filter."""
    with narrowed(**filter_ or {"label": "customer:7"}):
        return await api.call("GET", path, status)


async def ids(api: Api, path: str, **filter_: str | int) -> list[int]:
    return [one["id"] for one in (await get(api, path, **filter_))["items"]]


@pytest.fixture
async def fleet(api: Api) -> Api:
    """Proxies 1 and 2 are of customers 7 and 8, on node 1 in location 1; 3 is nobody's, on node 2 in location 2."""
    for name in ("here", "there"):
        await api.node(location_id=await api.location(name))
    await api.proxy(1, name="mine", username="alice", labels={"customer": "7"})
    await api.proxy(1, name="other", username="alfred", labels={"customer": "8"})
    await api.proxy(2, name="free")
    return api


async def test_a_token_lists_only_the_proxies_of_its_filter(fleet: Api):
    stack = await fleet.call("POST", "/stacks", 201, json={"name": "one", "count": 2, "proxy": {"location_id": 2}})
    assert await ids(fleet, "/proxies") == [1]
    assert await ids(fleet, "/proxies", stack=stack["id"]) == [4, 5]
    assert await ids(fleet, "/proxies", location=2) == [3, 4, 5]


async def test_what_the_filter_hides_is_not_found(fleet: Api):
    for path in ("/proxies/2", "/nodes/2", "/locations/2"):
        await get(fleet, path, 404)
    assert (await get(fleet, "/proxies/count"))["total"] == 1
    assert await ids(fleet, "/proxies?q=al") == [1]
    assert (await get(fleet, "/proxies?node=node-2", 422))["detail"] == 'node: there is no node "node-2"; known: node-1'


async def test_a_node_shows_counts_of_the_tokens_own_proxies_and_nothing_of_its_host(fleet: Api):
    node = await get(fleet, "/nodes/1")
    assert await ids(fleet, "/nodes") == await ids(fleet, "/locations") == [1]
    assert (node["name"], node["ip"], node["status"]["state"], node["status"]["count"]) == (
        "node-1",
        "10.0.0.1",
        "online",
        1,
    )
    assert (node["host"], node["labels"], node["engines"], node["limits"]["max_proxies"]) == ("", {}, {}, 0)
    assert (await get(fleet, "/nodes/count"))["total"] == 1


async def test_events_are_those_of_its_proxies_with_those_that_were_removed(fleet: Api):
    await fleet.call("DELETE", "/proxies/1", 204)
    await fleet.call("DELETE", "/proxies/2", 204)
    found = (await get(fleet, "/events"))["items"]
    assert [(one["type"], one["proxy_id"]) for one in found] == [("proxy.created", 1), ("proxy.deleted", 1)]


async def test_search_labels_and_export_know_nothing_else(fleet: Api):
    found = await get(fleet, "/search?q=al")
    assert [one["id"] for group in found.values() if isinstance(group, list) for one in group] == [1]
    assert await get(fleet, "/labels?kind=node") == {"items": []}
    with narrowed(label="customer:7"):
        lines = (await fleet.http.get("/proxies/export")).text.splitlines()
    assert [line.split(":")[2] for line in lines] == ["alice"]


async def test_lookup_finds_its_own_endpoints_alone(fleet: Api):
    proxies = (await fleet.call("GET", "/proxies", 200))["items"]
    for proxy, count in zip(proxies, (1, 0, 0), strict=True):
        found = await get(fleet, f"/lookup?ip={proxy['host']}&port={proxy['port']}")
        assert len(found["items"]) == count
