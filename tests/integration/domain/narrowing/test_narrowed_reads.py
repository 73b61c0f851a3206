"""What a token with a filter reads: its part of the fleet, and nothing that names the rest."""

from tests.integration.conftest import Api
from tests.master.narrowed import Part, part


async def test_a_token_lists_only_the_proxies_of_its_filter(fleet: Api):
    stack = await fleet.call("POST", "/stacks", 201, json={"name": "one", "count": 2, "proxy": {"location_id": 2}})
    assert await (await part(fleet, label="customer:7")).ids("/proxies") == [1]
    assert await (await part(fleet, stack=stack["id"])).ids("/proxies") == [4, 5]
    assert await (await part(fleet, location=2)).ids("/proxies") == [3, 4, 5]


async def test_what_the_filter_hides_is_not_found(seven: Part):
    for path in ("/proxies/2", "/nodes/2", "/locations/2"):
        await seven.get(path, 404)
    assert (await seven.get("/proxies/count"))["total"] == 1
    assert await seven.ids("/proxies?q=al") == [1]
    assert (await seven.get("/proxies?node=node-2", 422))[
        "detail"
    ] == 'node: there is no node "node-2"; did you mean "node-1"?'


async def test_a_node_shows_counts_of_the_tokens_own_proxies_and_nothing_of_its_host(seven: Part):
    node = await seven.get("/nodes/1")
    assert await seven.ids("/nodes") == await seven.ids("/locations") == [1]
    assert (node["name"], node["ip"], node["status"]["state"], node["status"]["count"]) == (
        "node-1",
        "10.0.0.1",
        "online",
        1,
    )
    assert (node["host"], node["labels"], node["engines"], node["limits"]["max_proxies"]) == ("", {}, {}, 0)
    assert (await seven.get("/nodes/count"))["total"] == 1


async def test_events_are_those_of_its_proxies_with_those_that_were_removed(fleet: Api, seven: Part):
    await fleet.call("DELETE", "/proxies/1", 204)
    await fleet.call("DELETE", "/proxies/2", 204)
    found = (await seven.get("/events"))["items"]
    assert [(one["type"], one["proxy_id"]) for one in found] == [("proxy.created", 1), ("proxy.deleted", 1)]


async def test_search_labels_and_export_know_nothing_else(seven: Part):
    found = await seven.get("/search?q=al")
    assert [one["id"] for group in found.values() if isinstance(group, list) for one in group] == [1]
    assert await seven.get("/labels?kind=node") == {"items": []}
    lines = (await seven.text("/proxies/export")).splitlines()
    assert [line.split(":")[2] for line in lines] == ["alice"]


async def test_lookup_finds_its_own_endpoints_alone(fleet: Api, seven: Part):
    proxies = (await fleet.call("GET", "/proxies", 200))["items"]
    for proxy, count in zip(proxies, (1, 0, 0), strict=True):
        found = await seven.get(f"/lookup?ip={proxy['host']}&port={proxy['port']}")
        assert len(found["items"]) == count
