"""Stacks whose template changes: their proxies follow, all or none."""

from tests.integration.conftest import Api
from tests.integration.domain.stacks.conftest import changed, members, stack


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
