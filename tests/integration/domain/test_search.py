"""One search over every kind of resource."""

import pytest

from tests.integration.conftest import Api


async def found(api: Api, q: str, **more: int) -> list[tuple[str, int]]:
    items = (await api.call("GET", "/search", 200, params={"q": q, **more}))["items"]
    return [(one["kind"], one["id"]) for one in items]


async def test_every_kind_is_found_by_its_name_in_any_case_and_by_its_id(api: Api):
    here = await api.location("Frankfurt")
    node = await api.node(ip="10.0.0.7", location_id=here)
    await api.rows.execute("UPDATE nodes SET name = 'FRA-1' WHERE id = $1", node)
    proxy = await api.proxy(node, name="fra-shop", port=20500, username="alice")
    body = {"name": "frankfurters", "count": 1, "proxy": {"node_ids": [node]}}
    stack = (await api.call("POST", "/stacks", 201, json=body))["id"]
    link = (await api.call("POST", "/links", 201, json={"kind": "list"}))["id"]
    hook = (await api.call("POST", "/webhooks", 201, json={"url": "https://fra.example.org/secret-path"}))["id"]
    items = (await api.call("GET", "/search?q=Fra", 200))["items"]
    assert [(one["kind"], one["name"], one["detail"]) for one in items] == [
        ("proxy", "fra-shop", "10.0.0.7:20500 · FRA-1 · alice"),
        ("node", "FRA-1", "10.0.0.7 · Frankfurt"),
        ("location", "Frankfurt", ""),
        ("stack", "frankfurters", "1"),
        ("webhook", "fra.example.org", "*"),
    ]
    assert ("link", link) in await found(api, str(link))
    expected = [("node", node), ("location", here), ("stack", stack), ("webhook", hook)]
    assert [one for one in await found(api, "1") if one[0] not in ("proxy", "link")] == expected
    assert await found(api, "ALI") == [("proxy", proxy["id"])]


async def test_a_proxy_is_found_by_its_endpoint_and_an_id_stands_before_names(api: Api):
    node = await api.node(ip="10.0.0.7")
    first = await api.proxy(node, port=20500)
    named = await api.proxy(node, port=20501, name=f"{first['id']}-th")
    assert await found(api, "10.0.0.7:20501") == [("proxy", named["id"])]
    assert [one for one in await found(api, str(first["id"])) if one[0] == "proxy"] == [
        ("proxy", first["id"]),
        ("proxy", named["id"]),
    ]
    assert await found(api, "10.0.0.7", limit=1) == [("proxy", first["id"]), ("node", node)]


async def test_an_ipv6_endpoint_is_shown_and_found_with_brackets(api: Api):
    proxy = await api.proxy(await api.node(ip="2001:db8::7"), port=20500, username="bob")
    [result] = (await api.call("GET", "/search", 200, params={"q": "[2001:DB8::7]:20500"}))["items"]
    assert (result["id"], result["detail"]) == (proxy["id"], "[2001:db8::7]:20500 · node-1 · bob")


@pytest.mark.parametrize(
    "text", ["%", "_", "\\", "'", "nothing", "9" * 30, "x:99999", "\N{LATIN SMALL LETTER E}\u0301"]
)
async def test_a_text_stands_for_itself(api: Api, text: str):
    await api.proxy(await api.node(), name="name")
    assert await found(api, text) == []


@pytest.mark.parametrize("query", ["", "q=", "q=%20", "q=a&limit=51", "q=a&kind=node"])
async def test_a_search_for_nothing_is_refused(api: Api, query: str):
    await api.call("GET", f"/search?{query}", 422)
