"""One spelling a resource: whatever else is asked for, nothing is found, and above all nothing is removed."""

from urllib.parse import quote

import pytest

from tests.integration.conftest import Api

METHODS = ("GET", "DELETE", "PATCH")


def spellings(id_: int) -> list[str]:
    """Texts that some program or other reads as this number."""
    text = str(id_)
    scripts = [chr(0x660), chr(0x966), chr(0xFF10), chr(0x1D7CE)]
    digits = ["".join(chr(ord(zero) + int(digit)) for digit in text) for zero in scripts]
    return [
        *digits,
        f"0_{text}",
        f"0{text}",
        f"+{text}",
        f" {text}",
        f"{text} ",
        f"{text}.0",
        f"-{text}",
    ]


async def test_an_id_has_one_spelling_and_no_other_reaches_its_proxy(api: Api):
    proxy = await api.proxy(await api.node())
    for text in spellings(proxy["id"]):
        for method in METHODS:
            answer = await api.http.request(method, f"/proxies/{quote(text)}", json={} if method == "PATCH" else None)
            assert answer.status_code == 404, (method, text)
    await api.call("GET", f"/proxies/{proxy['id']}", 200)


@pytest.mark.parametrize("kind", ["locations", "nodes", "stacks", "links", "webhooks", "rotations"])
async def test_ids_of_all_kinds_are_plain_digits(api: Api, kind: str):
    for text in spellings(10):
        assert (await api.http.get(f"/{kind}/{quote(text)}")).status_code == 404, text


@pytest.mark.parametrize(
    "path", ["/nodes/0_1/sync", "/locations/%D9%A1/rebalance", "/proxies/+1/rotate", "/stacks/01/rotate"]
)
async def test_what_is_done_to_a_thing_asks_for_its_one_id(api: Api, path: str):
    node = await api.node(location_id=await api.location())
    await api.proxy(node)
    assert (await api.http.post(path, json={"what": ["port"]} if "rotate" in path else {})).status_code == 404
    assert api.syncer.checks == []


@pytest.mark.parametrize(
    "path",
    [
        "//proxies",
        "/proxies/",
        "/proxies//export",
        "/proxies%2Fexport",
        "/proxies/export/",
        "/%70roxies",
        "/proxies;a=b",
        "/proxies%00",
        "/health//live",
        "/health/live/",
        "/api/",
        "/metrics/",
    ],
)
async def test_a_path_has_one_spelling(api: Api, path: str):
    answer = await api.http.get(f"http://master{path}")
    assert answer.request.url.raw_path == path.encode()
    assert answer.status_code == 404


async def test_no_other_spelling_of_a_name_reaches_a_stack(api: Api):
    node = await api.node()
    await api.call("POST", "/stacks", 201, json={"name": "shop", "count": 1, "proxy": {"node_ids": [node]}})
    body = {"count": 0, "proxy": {"node_ids": [node]}}
    for name in (
        "%2Fshop",
        "shop%2F",
        "%2fshop",
        "/shop",
        "shop/",
        "%73hop",
        "shop%00",
        "sh%C0%AFop",
    ):
        for method in ("GET", "DELETE"):
            assert (await api.http.request(method, f"/stacks/by-name/{name}")).status_code == 404, (method, name)
        assert (await api.http.put(f"/stacks/by-name/{name}", json=body)).status_code == 404, name
    assert (await api.call("GET", "/stacks/by-name/shop", 200))["count"] == 1


@pytest.mark.parametrize(
    "name", ["a.b", "..a", "100%", "%2Fshop", "a\\b", "a+b", "a:b (c)", "café ?#&=", "٣", "007", "by-name"]
)
async def test_every_name_that_a_stack_may_have_leads_to_it(api: Api, name: str):
    body = {"count": 0, "proxy": {"node_ids": [await api.node()]}}
    for encoded in dict.fromkeys((quote(name, safe=""), quote(name, safe="!$&'()*+,;=:@"))):
        await api.http.put(f"/stacks/by-name/{encoded}", json=body)
        assert (await api.call("GET", f"/stacks/by-name/{encoded}", 200))["name"] == name
    assert await api.rows.fetchval("SELECT count(*) FROM stacks") == 1


@pytest.mark.parametrize("name", ["a/b", ".", "..", "a\x00", "a\x85b", "a\u2028b"])
async def test_a_name_that_cannot_stand_in_a_path_is_refused(api: Api, name: str):
    body = {"name": name, "count": 0, "proxy": {"node_ids": [await api.node()]}}
    assert (await api.call("POST", "/stacks", 422, json=body))["errors"][0]["pointer"] == "/name"
