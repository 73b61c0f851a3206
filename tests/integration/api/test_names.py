"""Names may stand where ids are asked for, and what is unknown is answered with what is known."""

from typing import Any

import pytest

from tests.integration.conftest import Api


@pytest.fixture
async def here(api: Api) -> Api:
    """Frankfurt with node-1, Berlin with node-2, one proxy in each, and the stack shop in Berlin."""
    for name in ("Frankfurt", "Berlin"):
        node = await api.node(location_id=await api.location(name))
        await api.proxy(node)
    await api.call("POST", "/stacks", 201, json={"name": "shop", "count": 1, "proxy": {"location": "Berlin"}})
    return api


async def test_a_proxy_is_placed_by_the_name_of_its_location_or_nodes(here: Api):
    assert (await here.call("POST", "/proxies", 201, json={"location": "Berlin"}))["location_id"] == 2
    assert (await here.call("POST", "/proxies", 201, json={"nodes": ["node-2"]}))["node_id"] == 2
    assert (await here.call("POST", "/proxies", 201, json={"location": "Berlin", "location_id": 2}))["node_id"] == 2
    both = {"nodes": ["node-2", "node-1"], "node_ids": [1, 2], "location": "Frankfurt"}
    assert (await here.call("POST", "/proxies", 201, json=both))["node_id"] == 1


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"location": "Berlin", "location_id": 1}, "/location"),
        ({"nodes": ["node-1"], "node_ids": [1, 2]}, "/nodes"),
        ({"location": "Berlim"}, "/location"),
        ({"location": "berlin"}, "/location"),
        ({"nodes": ["node-1", "node-9"]}, "/nodes/1"),
        ({"location": 2}, "/location"),
        ({"location": "2"}, "/location"),
        ({"location": ""}, "/location"),
        ({"location": "a\x00"}, "/location"),
    ],
)
async def test_a_name_that_contradicts_an_id_or_is_none_is_refused(here: Api, body: dict[str, Any], pointer: str):
    assert (await here.call("POST", "/proxies", 422, json=body))["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize("body", [{"location": "Berlin", "location_id": None}, {"location": None, "location_id": 2}])
async def test_a_null_that_is_the_default_says_nothing_beside_a_name_or_an_id(here: Api, body: dict[str, Any]):
    assert (await here.call("POST", "/proxies", 201, json=body))["location_id"] == 2


async def test_an_unknown_name_is_answered_with_the_nearest_or_with_some(here: Api):
    assert 'did you mean "Berlin"?' in (await here.call("POST", "/proxies", 422, json={"location": "berln"}))["detail"]
    assert "known: Frankfurt, Berlin" in (await here.call("POST", "/proxies", 422, json={"location": "x"}))["detail"]


async def test_a_stack_s_places_are_named_and_kept_by_their_ids(here: Api):
    assert (await here.call("GET", "/stacks/by-name/shop", 200))["proxy"]["location_ids"] == [2]
    body = {"count": 1, "proxy": {"locations": ["Berlin", "Frankfurt"], "nodes": ["node-2"]}}
    put = await here.call("PUT", "/stacks/by-name/shop", 200, json=body)
    assert (put["proxy"]["location_ids"], put["proxy"]["node_ids"]) == ([1, 2], [2])
    changed = await here.call("PATCH", "/stacks/1", 200, json={"proxy": {"location": "Frankfurt", "nodes": None}})
    assert (changed["proxy"]["location_ids"], changed["proxy"].get("node_ids")) == ([1], None)
    again = await here.call("PUT", "/stacks/by-name/shop", 200, json={**body, "proxy": {"location_ids": [1]}})
    assert again["version"] == changed["version"]


@pytest.mark.parametrize(
    "places", [{"location": "Berlin", "locations": ["Berlin"]}, {"location_id": 1, "locations": ["x"]}]
)
async def test_a_stack_has_one_location_or_several(here: Api, places: dict[str, Any]):
    await here.call("PATCH", "/stacks/1", 422, json={"proxy": places})


async def test_what_is_unknown_in_a_stack_s_template_is_pointed_at_there(here: Api):
    problem = await here.call("PATCH", "/stacks/1", 422, json={"proxy": {"locations": ["Berlin", "Bern"]}})
    assert problem["errors"][0]["pointer"] == "/proxy/locations/1"


async def test_a_node_is_put_by_the_name_of_its_location(here: Api):
    assert (await here.call("PATCH", "/nodes/1", 200, json={"location": "Berlin"}))["location_id"] == 2
    assert (await here.call("PATCH", "/nodes/1", 200, json={"location": None}))["location_id"] is None
    await here.call("PATCH", "/nodes/1", 422, json={"location": "Berlin", "location_id": 1})
    moving = {"state": "draining", "move": True, "nodes": ["node-1"]}
    assert (await here.call("PATCH", "/nodes/2", 200, json=moving))["moving"]["node_ids"] == [1]


async def test_a_node_is_enrolled_at_the_name_of_its_location(here: Api):
    body = {"ip": "10.9.9.9", "challenge": "VSWP-Z4HC-J43R-71JT-90DJ-G7Y5-CE7Y", "location": "Berlin"}
    await here.call("POST", "/nodes", 201, json=body)
    assert here.enroller.asked[0]["location_id"] == 2
    await here.call("POST", "/nodes", 422, json={**body, "location": "Bern"})
    assert len(here.enroller.asked) == 1


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("location=Berlin", [2, 3]),
        ("node=node-1", [1]),
        ("stack=shop", [3]),
        ("location=Berlin&stack=shop&node_id=2", [3]),
        ("location=Berlin&location_id=2", [2, 3]),
    ],
)
async def test_proxies_are_found_by_names(here: Api, query: str, ids: list[int]):
    assert [one["id"] for one in (await here.call("GET", f"/proxies?{query}", 200))["items"]] == ids
    assert (await here.http.get(f"/proxies/export?{query}")).text.count("\n") == len(ids)
    found = await here.call("PATCH", f"/proxies?{query}&expect={len(ids)}", 200, json={"labels": {"a": "b"}})
    assert (found["matched"], found["changed"]) == (len(ids), len(ids))


@pytest.mark.parametrize("path", ["/nodes", "/proxies", "/proxies/export", "/events", "/usage"])
async def test_an_unknown_name_in_a_query_is_refused_everywhere(here: Api, path: str):
    problem = await here.call("GET", f"{path}?location=Berln", 422)
    assert problem["errors"] == [
        {"parameter": "location", "detail": 'there is no location "Berln"; did you mean "Berlin"?'}
    ]
    await here.call("GET", f"{path}?location=Berlin&location_id=1", 422)
    assert (await here.http.get(f"{path}?location=Berlin")).status_code == 200


async def test_an_unknown_name_removes_nothing(here: Api):
    for query in ("location=Bern", "stack=shopp", "node=node-1&node_id=2"):
        await here.call("DELETE", f"/proxies?{query}&expect=0", 422)
    assert (await here.call("DELETE", "/proxies?stack=shop&expect=1", 200))["changed"] == 1


async def test_events_usage_and_webhooks_are_narrowed_by_names(here: Api):
    events = (await here.call("GET", "/events?stack=shop", 200))["items"]
    assert {event["stack_id"] for event in events} == {1}
    assert len((await here.call("GET", "/nodes?location=Berlin", 200))["items"]) == 1
    hook = {"url": "https://example.org/hook", "location": "Berlin", "node": "node-2"}
    made = await here.call("POST", "/webhooks", 201, json=hook)
    assert (made["location_id"], made["node_id"]) == (2, 2)
    assert (await here.call("PATCH", f"/webhooks/{made['id']}", 200, json={"node": None}))["node_id"] is None


async def test_a_link_keeps_the_ids_that_were_named(here: Api):
    body = {"kind": "rotate", "filter": {"location": "Berlin"}, "rotate": {"what": ["node"], "nodes": ["node-1"]}}
    made = await here.call("POST", "/links", 201, json=body)
    assert made["filter"] == {"location_id": [2]}
    assert (made["rotate"]["node_ids"], "nodes" in made["rotate"]) == ([1], False)


@pytest.mark.parametrize(
    ("method", "path", "body", "words"),
    [
        ("POST", "/proxies", {"node_id": 1}, "unknown field node_id; did you mean node_ids?"),
        ("POST", "/proxies", {"limits": {"conections": 5}}, "unknown field conections; did you mean connections?"),
        ("POST", "/proxies", {"exit": {"mod": "address"}}, "unknown field mod; did you mean mode?"),
        ("POST", "/proxies", {"zzz": 1}, "unknown field zzz; known: location_id, location, node_ids"),
        ("PATCH", "/proxies/1", {"enabeld": True}, "did you mean enabled?"),
        ("PATCH", "/stacks/1", {"proxy": {"limits": {"expires": 1}}}, "did you mean expires_at?"),
        ("POST", "/links", {"kind": "list", "filter": {"nodeid": 1}}, "did you mean node_id?"),
        ("PATCH", "/nodes/1", {"limits": {"port": "1-2"}}, "did you mean ports?"),
    ],
)
async def test_an_unknown_field_is_answered_with_the_known_and_the_nearest(
    here: Api, method: str, path: str, body: dict[str, Any], words: str
):
    problem = await here.call(method, path, 422, json=body)
    assert words in problem["errors"][0]["detail"]
    assert "known: " in problem["errors"][0]["detail"]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/proxies?locaton=x", "unknown parameter locaton; did you mean location?"),
        ("/usage?form=2026-11-01T00:00:00Z", "did you mean from?"),
        ("/proxies/1?expect=1", "unknown parameter expect; known: secrets"),
        ("/events?zzz=1", "unknown parameter zzz; known: type, node_id"),
    ],
)
async def test_an_unknown_parameter_is_answered_with_the_known_and_the_nearest(here: Api, path: str, words: str):
    assert words in (await here.call("GET", path, 422))["errors"][0]["detail"]


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/metrics"])
async def test_monitoring_may_add_parameters_of_its_own(here: Api, path: str):
    assert (await here.http.get(f"{path}?t=1")).status_code == 200


@pytest.mark.parametrize(
    ("labels", "example"),
    [
        ("customer:7", '{"customer": "7"}'),
        ("tier=gold", '{"tier": "gold"}'),
        (["a:b"], '{"a": "b"}'),
        ([], '{"customer": "7"}'),
        ("x", '{"customer": "7"}'),
    ],
)
async def test_labels_that_are_no_object_are_answered_with_how_they_are_written(here: Api, labels: Any, example: str):
    for method, path in (("POST", "/locations"), ("PATCH", "/proxies/1")):
        body = {"labels": labels} | ({"name": "x"} if path == "/locations" else {})
        problem = await here.call(method, path, 422, json=body)
        assert problem["errors"] == [
            {"pointer": "/labels", "detail": f"labels are an object of texts, for example {example}"}
        ]


@pytest.mark.parametrize("label", ["customer=7", ":7", ""])
async def test_a_label_in_a_query_is_written_with_a_colon(here: Api, label: str):
    assert "label=customer:7" in (await here.call("GET", f"/proxies?label={label}", 422))["detail"]
