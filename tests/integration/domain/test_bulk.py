"""Changing and removing all proxies that a filter matches."""

import asyncio

import pytest

from master.db.database import Database
from master.domain.proxies.fleets import lock_fleet
from master.domain.proxies.schemas import FleetFilter
from master.domain.stacks.plan import DesiredStack, plan_new
from master.domain.stacks.schemas import StackProxy
from master.domain.stacks.template import template_from
from tests.integration.conftest import Api


async def many(api: Api, node: int, count: int, first_port: int = 20000) -> None:
    await api.rows.execute(
        "INSERT INTO proxies (node_id, port, protocol, username, password)"
        " SELECT $1, $3 + i, 'mixed', 'ann', 'secret' FROM generate_series(0, $2 - 1) i",
        node,
        count,
        first_port,
    )


async def test_a_filter_that_matches_other_than_expected_changes_nothing(api: Api):
    await many(api, await api.node(), 3)
    problem = await api.call("DELETE", "/proxies?protocol=mixed&expect=2", 409)
    assert (problem["type"], problem["expected"], problem["matched"]) == ("/problems/count-differs", 2, 3)
    assert await api.rows.fetchval("SELECT count(*) FROM proxies") == 3


@pytest.mark.parametrize("query", ["", "?node_id=1", "?expect=x&all=true", "?expect=1&nod_id=1", "?expect=0"])
async def test_what_is_expected_must_be_said_and_every_proxy_must_be_meant(api: Api, query: str):
    await api.call("DELETE", f"/proxies{query}", 422)
    await api.call("PATCH", f"/proxies{query}", 422, json={"enabled": False})


async def test_a_filter_that_matches_nothing_is_fine_when_expected(api: Api):
    assert await api.call("DELETE", "/proxies?node_id=5&expect=0", 200) == {
        "matched": 0,
        "changed": 0,
        "by_node": [],
    }


async def test_only_what_matches_is_removed(api: Api):
    first, second = await api.node(), await api.node()
    await many(api, first, 2)
    await many(api, second, 2)
    assert (await api.call("DELETE", f"/proxies?node_id={first}&expect=2", 200))["changed"] == 2
    assert await api.rows.fetchval("SELECT array_agg(DISTINCT node_id) FROM proxies") == [second]


async def test_a_change_counts_what_is_really_otherwise(api: Api):
    node = await api.node()
    await many(api, node, 2)
    await api.proxy(node, enabled=False)
    answer = await api.call("PATCH", f"/proxies?node_id={node}&expect=3", 200, json={"enabled": False})
    assert answer == {"matched": 3, "changed": 2, "by_node": [{"node_id": node, "matched": 3, "changed": 2}]}


async def test_the_wipe_guard_is_told_of_each_node_once(api: Api):
    nodes = [await api.node(), await api.node()]
    for node in nodes:
        await many(api, node, 3)
    await api.call("PATCH", "/proxies?all=true&expect=6", 200, json={"enabled": False})
    await api.call("DELETE", "/proxies?all=true&expect=6", 200)
    told = await api.rows.fetch("SELECT node_id, count FROM removals ORDER BY node_id")
    assert [(row["node_id"], row["count"]) for row in told] == [(nodes[0], 3), (nodes[1], 3)]


async def test_every_proxy_has_an_event(api: Api):
    await many(api, await api.node(), 3)
    await api.call("PATCH", "/proxies?all=true&expect=3", 200, json={"password": "fresh"})
    events = (await api.call("GET", "/events?type=proxy.updated", 200))["items"]
    assert [one["details"] for one in events] == [{"changed": ["password"], "version": 2}] * 3


async def test_a_change_that_would_leave_one_open_changes_none(api: Api):
    node = await api.node()
    await many(api, node, 2)
    await api.proxy(node, allow_ips=["10.0.0.0/8"], username="ann")
    problem = await api.call("PATCH", "/proxies?all=true&expect=3", 422, json={"username": None})
    assert problem["errors"][0]["pointer"] == "/allow_ips"
    assert await api.rows.fetchval("SELECT max(version) FROM proxies") == 1


async def test_an_engine_that_one_node_lacks_changes_none(api: Api):
    both, one = await api.node(engines=("builtin", "3proxy")), await api.node()
    await many(api, both, 1)
    await many(api, one, 1)
    problem = await api.call("PATCH", "/proxies?all=true&expect=2", 409, json={"engine": "3proxy"})
    assert problem["node_ids"] == [one]


async def test_name_and_port_belong_to_one_proxy(api: Api):
    problem = await api.call("PATCH", "/proxies?all=true&expect=0", 422, json={"port": 20000, "name": "x"})
    assert sorted(one["pointer"] for one in problem["errors"]) == ["/name", "/port"]


async def test_a_thousand_proxies_are_one_revision_a_node(api: Api):
    node = await api.node()
    await many(api, node, 1000)
    before = await api.rows.fetchval("SELECT revision FROM nodes")
    await api.call("PATCH", "/proxies?all=true&expect=1000", 200, json={"enabled": False, "labels": {"a": "1"}})
    await api.call("DELETE", "/proxies?label=a:1&expect=1000", 200)
    assert await api.rows.fetchval("SELECT revision FROM nodes") == before + 2


async def test_lists_are_filtered(api: Api):
    place = await api.location()
    first, second = await api.node(location_id=place), await api.node(engines=("builtin", "3proxy"))
    a = (await api.proxy(first, name="a", protocol="http", labels={"x": "1"}, port=20100))["id"]
    b = (await api.proxy(second, username="bob", engine="3proxy", enabled=False, labels={"x": "2"}))["id"]
    found = {
        f"location_id={place}": [a],
        f"node_id={second}": [b],
        "protocol=http": [a],
        "engine=3proxy": [b],
        "enabled=true": [a],
        "port=20100": [a],
        "name=a": [a],
        "username=bob": [b],
        "label=x:2": [b],
        "label=x:1&label=x:2": [],
    }
    for query, ids in found.items():
        assert [one["id"] for one in (await api.call("GET", f"/proxies?{query}", 200))["items"]] == ids


async def test_a_write_of_some_nodes_holds_up_no_write_of_another(api: Api, rows: Database):
    first, second, third = [await api.node() for _ in range(3)]
    await many(api, first, 2)
    template = template_from(StackProxy.model_validate({"node_ids": [first, second]}))
    stack = DesiredStack(name="s", spread="nodes", proxy=template, labels={}, count=4)
    async with asyncio.timeout(20), rows.transaction() as session:
        assert len((await lock_fleet(session, FleetFilter(protocol=["mixed"], expect=2))).ids) == 2
        assert set((await plan_new(session, stack)).create) == {first, second}
        other = (await api.proxy(third, protocol="http"))["id"]
        await api.call("PATCH", f"/proxies/{other}", 200, json={"enabled": False})
        await api.call("POST", "/stacks", 201, json={"name": "other", "count": 2, "proxy": {"node_ids": [third]}})
        await api.call("PATCH", f"/nodes/{third}", 200, json={"labels": {"a": "1"}})
        assert len((await api.call("GET", "/proxies", 200))["items"]) == 5
        await api.call("DELETE", f"/proxies?node_id={third}&expect=3", 200)
