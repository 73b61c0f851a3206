"""Stacks on the API: made, scaled, changed and removed, each in one transaction."""

import asyncio
from typing import Any

import pytest

from tests.integration.conftest import Api


async def stack(api: Api, count: int = 4, name: str = "shop", status: int = 201, **more: Any) -> dict[str, Any]:
    """A stack on the nodes 1 and 2, unless its proxy is told."""
    body = {"name": name, "count": count, "proxy": {"node_ids": [1, 2]}, **more}
    return await api.call("POST", "/stacks", status, json=body)


async def named(api: Api, count: int, status: int = 200, **more: Any) -> dict[str, Any]:
    body = {"count": count, "proxy": {"node_ids": [1, 2]}, **more}
    return await api.call("PUT", "/stacks/by-name/shop", status, json=body)


async def changed(api: Api, status: int = 200, **what: Any) -> dict[str, Any]:
    return await api.call("PATCH", "/stacks/1", status, json=what)


async def members(api: Api, stack_id: int = 1) -> list[dict[str, Any]]:
    return (await api.call("GET", f"/proxies?stack_id={stack_id}&limit=1000", 200))["items"]


async def revisions(api: Api) -> list[int]:
    return [row["revision"] for row in await api.rows.fetch("SELECT revision FROM nodes ORDER BY id")]


@pytest.fixture
async def fleet(api: Api) -> Api:
    """Two nodes at one location."""
    place = await api.location()
    await api.node(location_id=place)
    await api.node(location_id=place)
    return api


async def test_a_stack_is_made_of_proxies_of_their_own_evenly_placed(fleet: Api):
    made = await stack(fleet, 4)
    found = await members(fleet)
    assert (made["count"], made["version"], made["status"]["pending"]) == (4, 1, 4)
    assert [(one["node_id"], one["port"]) for one in found] == [(1, 20000), (2, 20000), (1, 20001), (2, 20001)]
    assert len({one["username"] for one in found}) == len({one["password"] for one in found}) == 4


async def test_each_node_is_told_once(fleet: Api):
    before = await revisions(fleet)
    await stack(fleet, 40)
    assert await revisions(fleet) == [revision + 1 for revision in before]


async def test_everything_that_a_template_says_holds_for_each(fleet: Api):
    said = {
        "location_id": 1,
        "protocol": "http",
        "username": "ann",
        "password": "secret",
        "limits": {"connections": 5},
        "labels": {"a": "1"},
        "rotation": {"every_s": 600, "what": ["credentials"]},
        "enabled": False,
    }
    made = await stack(fleet, 3, proxy=said)
    kept = {name: value for name, value in said.items() if name != "location_id"}
    assert made["proxy"] == {**kept, "location_ids": [1], "allow_ips": [], "engine": "builtin", "exit": {}}
    for one in await members(fleet):
        assert {name: one[name] for name in kept if name not in ("limits", "rotation")}.items() <= one.items()
        assert (one["limits"]["connections"], one["rotation"]["every_s"]) == (5, 600)


async def test_the_log_tells_of_the_stack_and_of_each_proxy_as_its_own(fleet: Api):
    await stack(fleet, 2)
    events = (await fleet.call("GET", "/events?stack_id=1", 200))["items"]
    assert [one["type"] for one in events] == ["stack.created", "proxy.created", "proxy.created"]
    await fleet.call("PATCH", "/proxies/1", 200, json={"enabled": False})
    await fleet.call("DELETE", "/stacks/1", 204)
    later = (await fleet.call("GET", f"/events?stack_id=1&after={events[-1]['id']}", 200))["items"]
    assert [one["type"] for one in later] == ["proxy.updated", "proxy.deleted", "proxy.deleted", "stack.deleted"]


async def test_what_does_not_fit_is_not_done_at_all(fleet: Api):
    await fleet.call("PATCH", "/nodes/1", 200, json={"limits": {"max_proxies": 3}})
    await fleet.call("PATCH", "/nodes/2", 200, json={"state": "draining"})
    before = await revisions(fleet), await fleet.event_types()
    problem = await stack(fleet, 5, status=409)
    assert (problem["type"], problem["wanted"], problem["possible"]) == ("/problems/no-room", 5, 3)
    assert problem["by_node"] == [
        {"node_id": 1, "possible": 3, "reason": "then it is full: 3 of 3 proxies"},
        {"node_id": 2, "possible": 0, "reason": "it is draining"},
    ]
    assert (await revisions(fleet), await fleet.event_types()) == before
    assert await fleet.call("GET", "/stacks", 200) == {"items": [], "next": None}


async def test_where_nobody_is_there_nobody_is_named(fleet: Api):
    place = await fleet.location("empty")
    problem = await stack(fleet, 1, status=409, proxy={"location_id": place})
    assert (problem["possible"], problem["by_node"]) == (0, [])


@pytest.mark.parametrize(
    ("proxy", "pointer"),
    [
        ({}, "/proxy/location_ids"),
        ({"location_id": 9}, "/proxy/location_ids"),
        ({"node_ids": [1, 9]}, "/proxy/node_ids"),
        ({"location_id": 1, "port": 20000}, "/proxy/port"),
        ({"location_id": 1, "name": "x"}, "/proxy/name"),
        ({"location_id": 1, "username": None}, "/proxy/allow_ips"),
        ({"location_id": 1, "engine": "3proxy", "limits": {"traffic_bytes": 5}}, "/proxy/limits/traffic_bytes"),
    ],
)
async def test_a_template_that_means_nothing_is_refused_where_it_stands(
    fleet: Api, proxy: dict[str, Any], pointer: str
):
    assert (await stack(fleet, 1, status=422, proxy=proxy))["errors"][0]["pointer"] == pointer


async def test_a_name_is_its_own(fleet: Api):
    await stack(fleet, 1)
    assert (await stack(fleet, 1, status=409))["type"] == "/problems/name-taken"
    await stack(fleet, 1, name="other")
    assert (await changed(fleet, 409, name="other"))["type"] == "/problems/name-taken"


async def test_more_are_placed_where_fewest_are(fleet: Api):
    await stack(fleet, 3)
    await changed(fleet, count=6)
    assert [one["node_id"] for one in await members(fleet)] == [1, 2, 1, 2, 1, 2]


async def test_of_fewer_the_newest_go_and_the_wipe_guard_knows(fleet: Api):
    await stack(fleet, 6)
    shrunk = await changed(fleet, count=2)
    assert ([one["id"] for one in await members(fleet)], shrunk["count"]) == ([1, 2], 2)
    told = await fleet.rows.fetch("SELECT node_id, count FROM removals ORDER BY node_id")
    assert [tuple(row) for row in told] == [(1, 2), (2, 2)]
    assert (await fleet.event_types()).count("stack.scaled") == 1


async def test_those_that_are_named_go_first(fleet: Api):
    await stack(fleet, 6)
    await changed(fleet, remove=[1, 4])
    assert [one["id"] for one in await members(fleet)] == [2, 3, 5, 6]
    await changed(fleet, count=2, remove=[2])
    assert [one["id"] for one in await members(fleet)] == [3, 5]


async def test_with_a_count_those_that_are_named_are_made_up_for(fleet: Api):
    await stack(fleet, 3)
    assert (await changed(fleet, count=3, remove=[2]))["count"] == 3
    assert [one["id"] for one in await members(fleet)] == [1, 3, 4]


async def test_a_proxy_that_is_not_of_the_stack_is_not_removed_by_it(fleet: Api):
    await stack(fleet, 2)
    await fleet.proxy(1)
    assert (await changed(fleet, 422, remove=[1, 3]))["errors"][0]["pointer"] == "/remove/1"
    assert len(await members(fleet)) == 2


async def test_a_full_node_has_room_for_what_its_own_leave(fleet: Api):
    await fleet.call("PATCH", "/nodes/1", 200, json={"limits": {"max_proxies": 2, "ports": "20000-20001"}})
    await stack(fleet, 2, proxy={"node_ids": [1]})
    await changed(fleet, count=2, remove=[1])
    assert [(one["id"], one["port"]) for one in await members(fleet)] == [(2, 20001), (3, 20000)]


async def test_a_put_makes_a_stack_and_the_same_again_does_nothing(fleet: Api):
    body = {"proxy": {"node_ids": [2, 1], "limits": {"connections": 5}}, "labels": {"a": "1"}}
    made = await named(fleet, 4, 201, **body)
    before = await revisions(fleet), await fleet.event_types(), await members(fleet)
    again = await named(fleet, 4, 200, **body, name="shop", spread="nodes")
    assert {**again, "status": None} == {**made, "status": None}
    assert (await revisions(fleet), await fleet.event_types(), await members(fleet)) == before


async def test_a_put_brings_a_stack_to_what_it_says(fleet: Api):
    await named(fleet, 4, 201, proxy={"node_ids": [1, 2], "protocol": "http"}, labels={"a": "1"})
    now = await named(fleet, 3, spread="pack")
    assert (now["count"], now["spread"], now["labels"], now["proxy"]["protocol"]) == (3, "pack", {}, "mixed")
    assert {one["protocol"] for one in await members(fleet)} == {"mixed"}
    assert (await fleet.call("GET", "/stacks/by-name/shop", 200))["id"] == 1


async def test_a_put_says_another_name_than_its_path_in_vain(fleet: Api):
    assert (await named(fleet, 1, 422, name="other"))["errors"][0]["pointer"] == "/name"


async def test_a_put_restores_what_was_taken_away_by_itself(fleet: Api):
    await named(fleet, 3, 201)
    await fleet.call("DELETE", "/proxies/2", 204)
    assert (await fleet.call("GET", "/stacks/1", 200))["count"] == 2
    assert (await fleet.call("GET", "/events?type=stack.scaled", 200))["items"][0]["details"]["before"] == 3
    await named(fleet, 3)
    assert [(one["id"], one["node_id"]) for one in await members(fleet)] == [(1, 1), (3, 1), (4, 2)]


async def test_whatever_takes_proxies_away_takes_them_out_of_what_is_wanted(fleet: Api):
    await stack(fleet, 6)
    await fleet.call("DELETE", "/proxies?node_id=1&port=20000&expect=1", 200)
    await fleet.call("DELETE", "/nodes/2?proxies=delete", 204)
    now = await fleet.call("GET", "/stacks/1", 200)
    assert (now["count"], now["version"], len(await members(fleet))) == (2, 3, 2)
    events = (await fleet.call("GET", "/events?type=stack.scaled", 200))["items"]
    assert [(one["details"]["before"], one["details"]["count"]) for one in events] == [(6, 5), (5, 2)]


async def test_another_template_changes_the_proxies_that_there_are(fleet: Api):
    await stack(fleet, 3)
    await fleet.call("PATCH", "/proxies/2", 200, json={"protocol": "http", "limits": {"connections": 9}})
    before = {one["id"]: one for one in await members(fleet)}
    await changed(fleet, proxy={"limits": {"bandwidth_bps": 8000}, "labels": {"tier": "gold"}})
    for one in await members(fleet):
        assert (one["version"], one["labels"]) == (before[one["id"]]["version"] + 1, {"tier": "gold"})
        assert (one["limits"]["bandwidth_bps"], one["password"]) == (8000, before[one["id"]]["password"])
    second = (await members(fleet))[1]
    assert (second["protocol"], second["limits"]["connections"]) == ("http", 9)


async def test_another_place_is_for_those_that_come(fleet: Api):
    await stack(fleet, 2, proxy={"node_ids": [1]})
    await changed(fleet, proxy={"node_ids": [2]}, count=4)
    assert [one["node_id"] for one in await members(fleet)] == [1, 1, 2, 2]
    assert [one["version"] for one in await members(fleet)] == [1, 1, 1, 1]


async def test_a_template_that_one_proxy_cannot_follow_changes_none(fleet: Api):
    await fleet.rows.execute("""UPDATE nodes SET engines = '{"builtin": "1", "3proxy": "1"}'""")
    await stack(fleet, 2)
    await fleet.call("PATCH", "/proxies/2", 200, json={"limits": {"traffic_bytes": 5}})
    problem = await changed(fleet, 422, proxy={"engine": "3proxy"})
    assert problem["proxy_id"] == 2
    assert {one["engine"] for one in await members(fleet)} == {"builtin"}


async def test_an_engine_that_a_node_lacks_is_refused(fleet: Api):
    await stack(fleet, 2)
    assert (await changed(fleet, 409, proxy={"engine": "3proxy"}))["type"] == "/problems/engine-missing"


async def test_a_change_of_nothing_is_none(fleet: Api):
    made = await stack(fleet, 2)
    assert (await changed(fleet, count=2, labels={}, proxy={"enabled": True}))["version"] == made["version"]
    assert (await fleet.event_types()).count("stack.updated") == 0


async def test_a_stack_goes_with_its_proxies_and_nothing_else(fleet: Api):
    await stack(fleet, 12)
    other = await fleet.proxy(1)
    await fleet.call("DELETE", "/stacks/by-name/shop", 204)
    assert [one["id"] for one in (await fleet.call("GET", "/proxies", 200))["items"]] == [other["id"]]
    assert await fleet.rows.fetchval("SELECT sum(count) FROM removals") == 12
    await fleet.call("GET", "/stacks/1", 404)
    await fleet.call("GET", "/stacks/by-name/shop", 404)


async def test_a_change_of_another_version_is_refused(fleet: Api):
    await stack(fleet, 2)
    stale = {"headers": {"If-Match": '"7"'}}
    await fleet.call("PATCH", "/stacks/1", 412, json={"count": 1}, **stale)
    await fleet.call("DELETE", "/stacks/1", 412, **stale)
    await fleet.call("PUT", "/stacks/by-name/shop", 412, json={"count": 1, "proxy": {"node_ids": [1]}}, **stale)
    await fleet.call("PUT", "/stacks/by-name/new", 412, json={"count": 1, "proxy": {"node_ids": [1]}}, **stale)
    answer = await fleet.http.patch("/stacks/1", json={"count": 1}, headers={"If-Match": '"1"'})
    assert (answer.status_code, answer.headers["etag"]) == (200, f'"{answer.json()["version"]}"')


async def test_states_are_counted(fleet: Api):
    await stack(fleet, 3)
    await fleet.report(1)
    assert (await fleet.call("GET", "/stacks/1", 200))["status"] == {
        "running": 2,
        "pending": 1,
        "failed": 0,
        "limited": 0,
        "expired": 0,
        "stopped": 0,
        "unknown": 0,
    }


async def test_stacks_are_listed_by_pages_names_and_labels(fleet: Api):
    for number in range(3):
        await stack(fleet, 0, name=f"s{number}", labels={"n": str(number)})
    first = await fleet.call("GET", "/stacks?limit=2", 200)
    second = await fleet.call("GET", f"/stacks?limit=2&after={first['next']}", 200)
    assert [one["name"] for one in first["items"] + second["items"]] == ["s0", "s1", "s2"]
    assert [one["id"] for one in (await fleet.call("GET", "/stacks?name=s1", 200))["items"]] == [2]
    assert [one["id"] for one in (await fleet.call("GET", "/stacks?label=n:2", 200))["items"]] == [3]


async def test_a_stack_is_a_filter_of_proxies(fleet: Api):
    await stack(fleet, 2)
    await fleet.proxy(1)
    assert len((await fleet.http.get("/proxies/export?stack_id=1")).text.splitlines()) == 2
    link = await fleet.call("POST", "/links", 201, json={"kind": "list", "filter": {"stack_id": 1}})
    assert len((await fleet.http.get(link["path"])).text.splitlines()) == 2
    answer = await fleet.call("PATCH", "/proxies?stack_id=1&expect=2", 200, json={"enabled": False})
    assert answer == {"matched": 2, "changed": 2}
    assert await fleet.call("DELETE", "/proxies?stack_id=1&expect=2", 200) == {"matched": 2, "changed": 2}
    assert (await fleet.call("GET", "/stacks/1", 200))["count"] == 0


async def test_all_proxies_of_a_stack_are_rotated(fleet: Api):
    await stack(fleet, 3)
    begun = await fleet.call("POST", "/stacks/1/rotate", 202, json={"what": ["credentials"], "overlap_s": 5})
    assert (begun["matched"], len(begun["rotation_ids"])) == (3, 3)
    await fleet.call("POST", "/stacks/1/rotate", 409, json={"what": ["port"]})
    await fleet.call("POST", "/stacks/9/rotate", 404, json={"what": ["port"]})


@pytest.mark.parametrize("name", ["a%2Fb", "%20x", "x%0A", "a" * 101, "%00"])
async def test_a_name_that_no_stack_can_have_is_not_found(fleet: Api, name: str):
    await fleet.call("GET", f"/stacks/by-name/{name}", 404)
    await fleet.call("PUT", f"/stacks/by-name/{name}", 404, json={"count": 0, "proxy": {"node_ids": [1]}})


async def test_a_name_in_a_path_may_have_spaces_and_any_letters(fleet: Api):
    body = {"count": 0, "proxy": {"node_ids": [1]}}
    made = await fleet.call("PUT", "/stacks/by-name/caf%C3%A9%20no%20%3F", 201, json=body)
    assert made["name"] == "café no ?"


async def test_nodes_that_share_an_ip_share_its_ports(fleet: Api):
    await fleet.rows.execute("UPDATE nodes SET ip = '10.9.9.9', port_to = 20003")
    await fleet.proxy(2, port=20001)
    problem = await stack(fleet, 4, status=409)
    assert problem["possible"] == 3
    await stack(fleet, 3)
    assert {one["port"] for one in await members(fleet)} == {20000, 20002, 20003}


async def test_what_is_on_its_way_to_a_node_has_its_place_there(fleet: Api):
    await fleet.call("PATCH", "/nodes/2", 200, json={"limits": {"max_proxies": 2}})
    moving = await fleet.proxy(1)
    await fleet.call("POST", f"/proxies/{moving['id']}/rotate", 202, json={"what": ["node"]})
    problem = await stack(fleet, 2, status=409, proxy={"node_ids": [2]})
    assert (problem["possible"], problem["by_node"][0]["reason"]) == (1, "then it is full: 2 of 2 proxies")


async def test_ports_that_a_stranger_has_are_left_to_him(fleet: Api):
    await fleet.rows.execute("INSERT INTO taken_ports VALUES (1, 20000, now() + interval '1 hour')")
    await stack(fleet, 2, proxy={"node_ids": [1]})
    assert [one["port"] for one in await members(fleet)] == [20001, 20002]


async def test_a_stack_is_spread_over_locations_first(fleet: Api):
    there = await fleet.location("there")
    await fleet.node(location_id=there)
    await stack(fleet, 4, proxy={"location_ids": [1, there]}, spread="locations")
    assert [one["node_id"] for one in await members(fleet)] == [1, 3, 2, 3]


async def test_a_stack_is_packed(fleet: Api):
    await fleet.proxy(2)
    await stack(fleet, 3, spread="pack")
    assert {one["node_id"] for one in await members(fleet)} == {2}


async def test_the_same_key_makes_one_stack(fleet: Api):
    key = {"headers": {"Idempotency-Key": "once"}}
    body = {"name": "shop", "count": 2, "proxy": {"node_ids": [1]}}
    made = await fleet.call("POST", "/stacks", 201, json=body, **key)
    assert await fleet.call("POST", "/stacks", 201, json=body, **key) == made
    assert len(await members(fleet)) == 2


async def test_what_a_stack_was_used_for_is_summed_up_and_outlives_it(fleet: Api):
    await stack(fleet, 2)
    await fleet.proxy(1)
    await fleet.rows.execute(
        "INSERT INTO usage_hours (proxy_id, node_id, hour, stack_id, received_bytes, sent_bytes, connections, refused)"
        " SELECT id, node_id, date_trunc('hour', now()), stack_id, 10, 1, 1, '{}' FROM proxies"
    )
    await fleet.call("DELETE", "/stacks/1", 204)
    sums = (await fleet.call("GET", "/usage?by=stack", 200))["items"]
    assert [(one["stack_id"], one["received_bytes"]) for one in sums] == [(None, 10), (1, 20)]
    assert (await fleet.call("GET", "/usage?stack_id=1&by=proxy,stack&limit=1", 200))["items"][0]["proxy_id"] == 1
    first = await fleet.call("GET", "/usage?by=proxy,stack&limit=2", 200)
    second = await fleet.call("GET", f"/usage?by=proxy,stack&after={first['next']}", 200)
    found = [(one["stack_id"], one["proxy_id"]) for one in first["items"] + second["items"]]
    assert found == [(None, 3), (1, 1), (1, 2)]


async def test_what_is_asked_for_at_once_by_many_is_done_in_turn(fleet: Api):
    await named(fleet, 6, 201)
    async with asyncio.TaskGroup() as group:
        for count in (9, 3, 12, 6):
            group.create_task(named(fleet, count))
            group.create_task(stack(fleet, 2, name=f"s{count}", proxy={"location_id": 1}))
        gone = [group.create_task(fleet.http.delete(f"/proxies/{id_}")) for id_ in range(1, 7)]
        moved = [group.create_task(fleet.http.patch(f"/proxies/{id_}", json={"enabled": False})) for id_ in range(1, 7)]
    assert {task.result().status_code for task in gone + moved} <= {200, 204, 404}
    now = await fleet.call("GET", "/stacks/1", 200)
    assert now["count"] == len(await members(fleet))
    assert await fleet.rows.fetchval("SELECT count(*) = count(DISTINCT (node_id, port)) FROM proxies")


async def test_an_answer_waits_until_every_node_that_it_concerns_has_confirmed(fleet: Api):
    wait = {"headers": {"Prefer": "wait=5"}}
    body = {"count": 2, "proxy": {"node_ids": [1, 2]}}
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(fleet.http.put("/stacks/by-name/shop", json=body, **wait))
        await until_there(fleet)
        await fleet.report(1)
        await fleet.report(2)
    answer = asked.result()
    assert (answer.status_code, answer.json()["status"]["running"]) == (201, 2)
    assert (answer.headers["preference-applied"], answer.headers["location"]) == ("wait=5", "/stacks/1")


async def until_there(fleet: Api) -> None:
    async with asyncio.timeout(5):
        while not await members(fleet):
            await asyncio.sleep(0.02)


async def test_an_answer_that_nobody_confirmed_in_time_says_so(fleet: Api):
    await named(fleet, 2, 201)
    answer = await fleet.http.delete("/stacks/1", headers={"Prefer": "wait=0"})
    assert (answer.status_code, answer.headers["preference-applied"]) == (202, "wait=0")
