"""Stacks are made of as many proxies as are wanted, or not at all."""

from typing import Any

import pytest

from tests.integration.conftest import Api
from tests.integration.domain.stacks.conftest import changed, members, revisions, stack


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
    assert made["proxy"] == {
        **kept,
        "location_ids": [1],
        "allow_ips": [],
        "engine": "builtin",
        "exit": {},
        "destinations": {},
        "tls": False,
    }
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
    assert (problem["type"], problem["wanted"], problem["possible"]) == ("/problems/insufficient-capacity", 5, 3)
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
