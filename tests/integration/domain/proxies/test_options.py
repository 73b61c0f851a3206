"""Exits and limits on the API, in records and in states."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from master.db.database import Database
from master.sync.inbox import record_of
from tests.integration.conftest import Api

PREFIX = "2001:db8:1::/64"
SESSION = {"mode": "ipv6_session", "session_ttl_s": 60}


async def exits(api: Api, node: int, **wish: Any) -> dict[str, Any]:
    """What the node's proxies may leave by."""
    return (await api.call("PATCH", f"/nodes/{node}", 200, json={"exits": wish}))["exits"]


async def record(rows: Database, node: int, id_: int) -> dict[str, Any]:
    """What the node is told."""
    async with rows.session() as session:
        [row] = await session.rows("sync.desired_records", node_id=node, ids=[id_])
    return json.loads(record_of(row))


async def content(api: Api) -> int:
    return await api.rows.fetchval("SELECT content FROM proxies")


async def test_limits_are_kept_shown_and_told_to_the_node(api: Api, rows: Database):
    node = await api.node()
    limits = {
        "connections": 5,
        "traffic_bytes": 10**12,
        "traffic_period": "day",
        "expires_at": "2030-01-01T01:00:00+01:00",
    }
    made = await api.proxy(node, limits=limits)
    kept = {**limits, "expires_at": "2030-01-01T00:00:00Z"}
    assert made["limits"] == {**kept, "bandwidth_bps": None}
    assert (await record(rows, node, made["id"]))["limits"] == kept


async def test_what_is_not_said_is_not_told(api: Api, rows: Database):
    node = await api.node()
    made = await api.proxy(node)
    assert made["exit"] == {"mode": "default", "address": None, "prefix": None, "session_ttl_s": None}
    assert not {"exit", "limits"} & (await record(rows, node, made["id"])).keys()


async def test_a_changed_limit_is_another_version_and_content_and_the_same_limit_is_none(api: Api):
    made = await api.proxy(await api.node(), limits={"connections": 5})
    before = await content(api)
    same = await api.call("PATCH", f"/proxies/{made['id']}", 200, json={"limits": {"connections": 5}})
    assert (same["version"], await content(api)) == (1, before)
    other = await api.call("PATCH", f"/proxies/{made['id']}", 200, json={"limits": {"connections": 6}})
    assert (other["version"], other["limits"]["connections"]) == (2, 6)
    assert await content(api) != before
    [event] = (await api.call("GET", "/events?type=proxy.updated", 200))["items"]
    assert event["details"] == {"changed": ["limits"], "version": 2}


async def test_a_fleet_gets_a_limit_and_keeps_its_others(api: Api):
    node = await api.node()
    for count in (1, 2):
        await api.proxy(node, limits={"connections": count})
    await api.call("PATCH", "/proxies?all=true&expect=2", 200, json={"limits": {"bandwidth_bps": 10**6}})
    listed = (await api.call("GET", "/proxies", 200))["items"]
    assert [(one["limits"]["connections"], one["limits"]["bandwidth_bps"]) for one in listed] == [
        (1, 10**6),
        (2, 10**6),
    ]


async def test_an_address_must_be_one_that_the_node_told_or_somebody_declared(api: Api, rows: Database):
    node = await api.node()
    await api.rows.execute("UPDATE nodes SET addresses = '{10.0.0.1}'")
    wish = {"node_ids": [node], "exit": {"mode": "address", "address": "10.0.0.2"}}
    problem = await api.call("POST", "/proxies", 409, json=wish)
    assert problem["type"] == "/problems/exit-missing"
    assert (problem["nodes"][0]["node_id"], problem["nodes"][0]["addresses"]) == (node, ["10.0.0.1"])
    assert await exits(api, node, addresses=["10.0.0.2"]) == {"addresses": ["10.0.0.2"], "ipv6_prefixes": []}
    made = await api.call("POST", "/proxies", 201, json=wish)
    assert (await record(rows, node, made["id"]))["exit"] == wish["exit"]
    await api.call("PATCH", f"/proxies/{made['id']}", 200, json={"exit": {"address": "10.0.0.1"}})
    problem = await api.call("PATCH", f"/proxies/{made['id']}", 409, json={"exit": {"address": "10.0.0.3"}})
    assert "10.0.0.3" in problem["detail"]


async def test_a_proxy_is_placed_where_its_exit_is(api: Api):
    place = await api.location()
    await api.node(location_id=place)
    able = await api.node(location_id=place)
    await exits(api, able, ipv6_prefixes=[PREFIX])
    made = await api.call("POST", "/proxies", 201, json={"location_id": place, "exit": SESSION})
    assert made["node_id"] == able
    problem = await api.call(
        "POST", "/proxies", 409, json={"location_id": place, "exit": {"mode": "address", "address": "::2"}}
    )
    assert [one["node_id"] for one in problem["by_node"]] == [able - 1, able]


async def test_a_random_exit_is_told_with_the_nodes_first_prefix_and_key_which_nobody_else_sees(
    api: Api, rows: Database
):
    node, other = await api.node(), await api.node()
    for one in (node, other):
        await exits(api, one, ipv6_prefixes=[PREFIX, "2001:db8:2::/48"])
    made = [await api.proxy(one, exit=SESSION) for one in (node, node, other)]
    told = [(await record(rows, one["node_id"], one["id"]))["exit"] for one in made]
    assert {one["prefix"] for one in told} == {PREFIX}
    assert told[0]["key"] == told[1]["key"] != told[2]["key"]
    assert len(told[0]["key"]) == 32
    shown = json.dumps([await api.call("GET", path, 200) for path in ("/proxies", "/nodes", "/events")])
    assert told[0]["key"] not in shown
    assert '"key"' not in shown


async def test_another_first_prefix_is_a_new_version_of_those_that_draw_from_it_and_of_no_other(
    api: Api, rows: Database
):
    node = await api.node()
    await exits(api, node, ipv6_prefixes=[PREFIX, "2001:db8:2::/64"])
    drawing = (await api.proxy(node, exit=SESSION))["id"]
    named = (await api.proxy(node, exit={**SESSION, "prefix": PREFIX}))["id"]
    plain = (await api.proxy(node))["id"]
    before = (await api.call("GET", f"/nodes/{node}", 200))["revision"]
    await exits(api, node, ipv6_prefixes=["2001:db8:2::/64", PREFIX])
    versions = {one["id"]: one["version"] for one in (await api.call("GET", "/proxies", 200))["items"]}
    assert versions == {drawing: 2, named: 1, plain: 1}
    assert (await api.call("GET", f"/nodes/{node}", 200))["revision"] == before + 1
    assert (await record(rows, node, drawing))["exit"]["prefix"] == "2001:db8:2::/64"


async def test_what_proxies_leave_by_cannot_be_taken_from_a_node(api: Api):
    node = await api.node()
    await exits(api, node, addresses=["10.0.0.2"], ipv6_prefixes=[PREFIX])
    await api.proxy(node, exit={"mode": "address", "address": "10.0.0.2"})
    await api.proxy(node, exit=SESSION)
    for wish in ({"addresses": []}, {"ipv6_prefixes": []}):
        problem = await api.call("PATCH", f"/nodes/{node}", 409, json={"exits": wish})
        assert (problem["type"], problem["count"]) == ("/problems/exits-used", 1)


@pytest.mark.parametrize(
    ("wish", "pointer"),
    [
        ({"exit": {"mode": "address", "address": "ff02::1"}}, "/exit/address"),
        ({"exit": {"mode": "ipv6_random", "prefix": "10.0.0.0/8"}}, "/exit/prefix"),
        ({"exit": {"mode": "ipv6_random", "prefix": "2001:db8::/120"}}, "/exit/prefix"),
        ({"exit": {"mode": "ipv6_random", "key": "0" * 32}}, "/exit/key"),
        ({"limits": {"connections": 0}}, "/limits/connections"),
        ({"limits": {"expires_at": "2030-01-01T00:00:00"}}, "/limits/expires_at"),
        ({"limits": {"expires_at": 1900000000}}, "/limits/expires_at"),
        ({"limits": {"traffic_period": "day"}}, "/limits/traffic_period"),
        ({"engine": "3proxy", "limits": {"traffic_bytes": 1}}, "/limits/traffic_bytes"),
    ],
)
async def test_what_cannot_be_is_refused_where_it_stands(api: Api, wish: dict[str, Any], pointer: str):
    node = await api.node(engines=("builtin", "3proxy"))
    problem = await api.call("POST", "/proxies", 422, json={"node_ids": [node], **wish})
    assert problem["errors"][0]["pointer"] == pointer


async def hinder(api: Api, id_: int, kind: str) -> None:
    """The node runs the proxy, but it serves nobody."""
    await api.fail(id_, "why it is so")
    await api.rows.execute("UPDATE proxy_failures SET kind = $1", kind)


async def test_a_proxy_whose_quota_is_spent_is_limited_until_another_version_is_confirmed(api: Api):
    node = await api.node()
    id_ = (await api.proxy(node, limits={"traffic_bytes": 5}))["id"]
    await api.report(node)
    await hinder(api, id_, "limited")
    assert await api.state(id_) == ("limited", "why it is so")
    assert [one["id"] for one in (await api.call("GET", "/proxies?state=limited", 200))["items"]] == [id_]
    await api.call("PATCH", f"/proxies/{id_}", 200, json={"limits": {"traffic_bytes": 50}})
    assert (await api.state(id_))[0] == "pending"
    await api.report(node)
    assert (await api.state(id_))[0] == "running"


async def test_a_proxy_whose_time_is_over_is_expired_whatever_its_node_has_said(api: Api):
    node = await api.node()
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat(timespec="seconds").replace("+00:00", "Z")
    id_ = await ended_proxy(api, node, past)
    assert (await api.state(id_))[0] == "pending"
    await api.report(node)
    assert await api.state(id_) == ("expired", f"expired at {past}")
    await hinder(api, id_, "limited")
    assert (await api.state(id_))[0] == "expired"
    await hinder_again(api, "expired")
    assert await api.state(id_) == ("expired", "why it is so")
    await api.call("PATCH", f"/proxies/{id_}", 200, json={"limits": {"expires_at": None}})
    await api.report(node)
    assert (await api.state(id_))[0] == "running"


async def ended_proxy(api: Api, node: int, past: str) -> int:
    body = {"node_ids": [node], "limits": {"expires_at": past}}
    return (await api.call("POST", "/proxies?allow_past=true", 201, json=body))["id"]


async def hinder_again(api: Api, kind: str) -> None:
    await api.rows.execute("UPDATE proxy_failures SET kind = $1", kind)


async def test_a_disabled_or_silent_proxy_is_not_called_expired(api: Api):
    node = await api.node()
    id_ = await ended_proxy(api, node, "2020-01-01T00:00:00Z")
    await api.report(node, online=False)
    assert (await api.state(id_))[0] == "unknown"
    await api.call("PATCH", f"/proxies/{id_}", 200, json={"enabled": False})
    await api.report(node)
    assert (await api.state(id_))[0] == "stopped"


async def test_destinations_are_kept_shown_told_to_the_node_and_part_of_the_content(api: Api, rows: Database):
    node = await api.node()
    plain = await api.proxy(node)
    assert plain["destinations"] == {"deny_ports": [], "allow_ports": [], "deny_hosts": []}
    before, path = await content(api), f"/proxies/{plain['id']}"
    wish = {"deny_ports": ["6990-6999", 25, "6881-6989"], "deny_hosts": ["Example.com.", "192.0.2.9/24"]}
    kept = {"deny_ports": [25, "6881-6999"], "deny_hosts": ["example.com", "192.0.2.0/24"]}
    made = await api.call("PATCH", path, 200, json={"destinations": wish})
    assert (made["destinations"], made["version"]) == ({**kept, "allow_ports": []}, 2)
    assert (await record(rows, node, plain["id"]))["destinations"] == kept
    assert await content(api) != before
    same = await api.call("PATCH", path, 200, json={"destinations": {"deny_ports": [25, "6881-6999"]}})
    assert same["version"] == 2
    gone = await api.call("PATCH", path, 200, json={"destinations": {"deny_ports": [], "deny_hosts": None}})
    assert (gone["destinations"], await content(api)) == (plain["destinations"], before)
    assert "destinations" not in await record(rows, node, plain["id"])


@pytest.mark.parametrize(
    "wish",
    [{"deny_ports": [0]}, {"deny_ports": ["25"]}, {"allow_ports": ["9-8"]}, {"deny_hosts": ["a b"]}, {"deny": [25]}],
)
async def test_destinations_that_mean_nothing_are_refused(api: Api, wish: dict[str, Any]):
    body = {"node_ids": [await api.node()], "destinations": wish}
    problem = await api.call("POST", "/proxies", 422, json=body)
    assert problem["errors"][0]["pointer"].startswith("/destinations/")
