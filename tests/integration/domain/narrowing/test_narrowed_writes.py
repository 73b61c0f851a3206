"""What a token with a filter writes stays inside of its part, and changes nothing outside."""

from tests.integration.conftest import Api
from tests.master.narrowed import Part


async def test_what_it_makes_gets_the_label_of_its_filter(seven: Part):
    proxy = await seven.call("POST", "/proxies", 201, json={"location_id": 1, "labels": {"tier": "gold"}})
    assert proxy["labels"] == {"customer": "7", "tier": "gold"}
    stack = await seven.call("POST", "/stacks", 201, json={"name": "one", "count": 2, "proxy": {"location_id": 1}})
    assert (stack["labels"], stack["proxy"]["labels"]) == ({"customer": "7"}, {"customer": "7"})
    assert await seven.ids("/proxies") == [1, proxy["id"], proxy["id"] + 1, proxy["id"] + 2]
    assert (await seven.call("PATCH", f"/stacks/{stack['id']}", 200, json={"count": 1}))["count"] == 1


async def test_it_cannot_make_or_leave_anything_outside(fleet: Api, seven: Part):
    before = await fleet.call("GET", "/proxies", 200)
    refused = [
        await seven.call("POST", "/proxies", 403, json={"location_id": 1, "labels": {"customer": "8"}}),
        await seven.call("PATCH", "/proxies/1", 403, json={"labels": {"customer": None}}),
        await seven.call("PATCH", "/proxies?all=true&expect=1", 403, json={"labels": {"customer": "8"}}),
    ]
    assert {one["detail"] for one in refused} == {"this would not belong to the filter of the token, label customer:7"}
    assert await fleet.call("GET", "/proxies", 200) == before


async def test_it_cannot_place_a_proxy_where_it_sees_nothing(fleet: Api, seven: Part):
    assert "there is no location 2" in (await seven.call("POST", "/proxies", 422, json={"location_id": 2}))["detail"]
    assert "there is no node 2" in (await seven.call("POST", "/proxies", 422, json={"node_ids": [2]}))["detail"]


async def test_writes_by_filter_reach_its_own_proxies_alone(fleet: Api, seven: Part):
    await seven.call("PATCH", "/proxies?all=true&expect=3", 409, json={"enabled": False})
    assert (await seven.call("PATCH", "/proxies?all=true&expect=1", 200, json={"enabled": False}))["changed"] == 1
    assert (await seven.call("DELETE", "/proxies?all=true&expect=1", 200))["changed"] == 1
    assert [one["name"] for one in (await fleet.call("GET", "/proxies", 200))["items"]] == ["other", "free"]
    await seven.call("DELETE", "/proxies/2", 404)
    await seven.call("PATCH", "/proxies/2", 404, json={"enabled": False})
    await seven.call("POST", "/proxies/2/rotate", 404, json={"what": ["port"]})
    await seven.call("POST", "/proxies/2/check", 404, json={})


async def test_a_conflict_does_not_name_who_is_in_the_way(fleet: Api, seven: Part):
    taken = (await fleet.call("GET", "/proxies/2", 200))["port"]
    conflict = await seven.call("POST", "/proxies", 409, json={"node_ids": [1], "port": taken})
    assert (conflict["detail"], conflict["port"]) == (f"port {taken} is taken", taken)
    assert ("by_proxy" in conflict, "node_id" in conflict) == (False, False)
    full = await seven.call("POST", "/proxies", 409, json={"location_id": 1, "engine": "3proxy"})
    assert (full["wanted"], full["possible"], full["by_node"]) == (1, 0, [])


async def test_a_dry_run_and_an_event_tell_what_was_done_to_its_own(fleet: Api, seven: Part):
    done = await seven.call("DELETE", "/proxies/1?dry_run=true", 200)
    assert done["events"] == {"proxy.deleted": 1}
    await seven.call("DELETE", "/proxies/1", 204)
    last = (await fleet.call("GET", "/events?order=desc&limit=1", 200))["items"][0]
    assert (last["type"], last["proxy_id"], last["node_id"], last["location_id"]) == ("proxy.deleted", 1, 1, 1)
    assert last["actor"] == "token label customer:7"


async def test_a_proxy_of_a_hidden_stack_keeps_its_stack(fleet: Api, seven: Part):
    body = {"name": "all", "count": 2, "proxy": {"location_id": 1}}
    stack = await fleet.call("POST", "/stacks", 201, json=body)
    [first, _] = (await fleet.call("GET", "/proxies?stack=all", 200))["items"]
    await fleet.call("PATCH", f"/proxies/{first['id']}", 200, json={"labels": {"customer": "7"}})
    assert (await seven.get(f"/proxies/{first['id']}"))["stack_id"] is None
    await seven.get(f"/stacks/{stack['id']}", 404)
    await seven.call("DELETE", f"/proxies/{first['id']}", 204)
    events = (await fleet.call("GET", "/events?order=desc&limit=2", 200))["items"]
    assert [(one["type"], one["stack_id"]) for one in events] == [
        ("stack.scaled", stack["id"]),
        ("proxy.deleted", stack["id"]),
    ]
    assert (await fleet.call("GET", f"/stacks/{stack['id']}", 200))["count"] == 1


async def test_a_link_lists_and_rotates_only_what_its_token_was_for(fleet: Api, seven: Part):
    link = await seven.call("POST", "/links", 201, json={"kind": "list", "filter": {"enabled": True}})
    assert len((await fleet.http.get(link["path"])).text.splitlines()) == 1
    rotate = await seven.call(
        "POST", "/links", 201, json={"kind": "rotate", "filter": {"enabled": True}, "rotate": {"what": ["port"]}}
    )
    assert (await fleet.http.get(rotate["path"])).json()["matched"] == 1
    assert (await fleet.call("GET", "/links/1", 200))["token_filter"] == {"label": "customer:7"}
    await fleet.call("POST", "/links", 201, json={"kind": "list", "filter": {"enabled": True}})
    assert await seven.ids("/links") == [1, 2]
    await seven.call("DELETE", "/links/3", 404)
    assert (await fleet.call("GET", "/proxies/count", 200))["total"] == 3  # the connections see everything again


async def test_rotations_are_those_of_its_proxies(fleet: Api, seven: Part):
    for proxy in (1, 2):
        await fleet.call("POST", f"/proxies/{proxy}/rotate", 202, json={"what": ["port"]})
    assert await seven.ids("/rotations") == [1]
    await seven.get("/rotations/2", 404)
    body = {"count": 1, "labels": {"order": "1"}, "filter": {"label": "customer:8"}}
    assert (await seven.call("POST", "/proxies/claim", 409, json=body))["possible"] == 0
