"""POST /locations/{id}/rebalance"""

from typing import Any

import pytest

from master.db.database import Database
from tests.integration.conftest import Api
from tests.master.moves import homes, running, succeed_all


@pytest.fixture
async def home(api: Api) -> int:
    """A location with the nodes 1, which has four proxies, and 2."""
    location = await api.location()
    node = await api.node(location_id=location)
    await running(api, node, 4)
    await api.node(location_id=location)
    return location


async def rebalance(api: Api, location: int, status: int = 202, query: str = "", **wish: Any) -> dict[str, Any]:
    return await api.call("POST", f"/locations/{location}/rebalance{query}", status, json=wish)


async def test_a_dry_run_tells_the_moves_and_does_nothing(api: Api, home: int):
    plan = await rebalance(api, home, 200, "?dry_run=true")
    assert plan["nodes"] == [{"node_id": 1, "before": 4, "after": 2}, {"node_id": 2, "before": 0, "after": 2}]
    assert plan["moves"] == [
        {"proxy_id": id_, "from_node_id": 1, "to_node_id": 2, "rotation_id": None} for id_ in (4, 3)
    ]
    assert await api.rows.fetchval("SELECT count(*) FROM rotations") == 0
    assert "location.rebalanced" not in await api.event_types()


async def test_what_a_dry_run_tells_is_done_make_before_break(api: Api, rows: Database, home: int):
    plan = await rebalance(api, home, 200, "?dry_run=true")
    begun = await rebalance(api, home, overlap_s=0)
    assert [each["proxy_id"] for each in begun["moves"]] == [each["proxy_id"] for each in plan["moves"]]
    for each in begun["moves"]:
        assert (await api.call("GET", f"/rotations/{each['rotation_id']}", 200))["what"] == ["node"]
    assert await homes(api) == [1] * 4
    await succeed_all(api, rows)
    assert await homes(api) == [1, 1, 2, 2]
    assert (await rebalance(api, home, 200))["moves"] == []


async def test_what_is_on_its_way_counts_where_it_goes(api: Api, home: int):
    assert len((await rebalance(api, home, max_moves=1))["moves"]) == 1
    again = await rebalance(api, home, 200, "?dry_run=true")
    assert again["nodes"][1] == {"node_id": 2, "before": 1, "after": 2}


async def test_what_nobody_uses_moves_at_once(api: Api, home: int):
    for id_ in (1, 2):
        await api.call("PATCH", f"/proxies/{id_}", 200, json={"enabled": False})
    moves = (await rebalance(api, home))["moves"]
    assert [(each["proxy_id"], each["rotation_id"]) for each in moves] == [(2, None), (1, None)]
    assert await homes(api) == [2, 2, 1, 1]
    assert (await api.event_types())[-3:] == ["proxy.moved", "proxy.moved", "location.rebalanced"]


@pytest.mark.parametrize("change", ["draining", "offline", "full"])
async def test_a_node_that_cannot_take_one_gets_none(api: Api, home: int, change: str):
    if change == "draining":
        await api.call("PATCH", "/nodes/2", 200, json={"state": "draining"})
    elif change == "full":
        await api.call("PATCH", "/nodes/2", 200, json={"limits": {"max_proxies": 0}})
    else:
        await api.report(2, online=False)
    assert (await rebalance(api, home, 200))["moves"] == []


async def test_a_location_must_be_there_and_the_body_may_be_left_out(api: Api, home: int):
    await rebalance(api, 999, 404)
    assert len((await api.call("POST", f"/locations/{home}/rebalance", 202))["moves"]) == 2
