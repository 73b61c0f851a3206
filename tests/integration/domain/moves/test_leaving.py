"""Nodes that are removed when their proxies have moved."""

from master.db.constraints import writing
from master.db.database import Database
from master.domain.rotation import steps as rotation_steps
from tests.integration.conftest import Api
from tests.master.moves import ask, finish, homes, move, running, shown, succeed_all, under_way


async def test_a_node_that_is_removed_moves_its_proxies_first_and_goes_when_all_has_stopped_there(
    api: Api, rows: Database, pair: tuple[int, int]
):
    one, other = pair
    await running(api, one, 1)
    leaving = await api.call("DELETE", f"/nodes/{one}?proxies=move&overlap_s=0", 202)
    assert (leaving["state"], leaving["moving"]["leaving"]) == ("draining", True)
    await ask(rows, one)
    await succeed_all(api, rows)
    assert not await finish(rows, one)
    await api.report(one)
    assert await finish(rows, one)
    await api.call("GET", f"/nodes/{one}", 404)
    assert await homes(api) == [other]
    assert (await api.event_types())[-2:] == ["node.emptied", "node.removed"]


async def test_an_empty_node_goes_at_once(api: Api, pair: tuple[int, int]):
    await api.call("DELETE", f"/nodes/{pair[0]}?proxies=move", 204)
    assert api.enroller.removed == [pair[0]]


async def test_what_an_offline_node_has_is_placed_anew_at_once_and_the_node_goes(api: Api, pair: tuple[int, int]):
    one, other = pair
    await running(api, one, 3)
    await api.report(one, online=False)
    await api.call("DELETE", f"/nodes/{one}?proxies=move", 204)
    assert await homes(api) == [other] * 3
    assert api.enroller.removed == [one]
    assert (await api.event_types())[-4:] == ["proxy.moved"] * 3 + ["node.removed"]


async def test_when_not_all_of_an_offline_node_fits_elsewhere_nothing_is_done(api: Api, pair: tuple[int, int]):
    one, other = pair
    await running(api, one, 3)
    await api.report(one, online=False)
    await api.call("PATCH", f"/nodes/{other}", 200, json={"limits": {"max_proxies": 2}})
    problem = await api.call("DELETE", f"/nodes/{one}?proxies=move", 409)
    assert (problem["wanted"], problem["possible"]) == (3, 2)
    assert problem["by_node"] == [{"node_id": other, "possible": 2, "reason": "it is full: 2 of 2 proxies"}]
    assert await homes(api) == [one] * 3
    assert (await shown(api, one))["state"] == "active"


async def test_rotations_of_an_offline_node_end_with_it(api: Api, rows: Database, pair: tuple[int, int]):
    one, other = pair
    came, going, gone = await api.proxy(other), *(await running(api, one, 2))
    for proxy in (came, going, gone):
        await api.call("POST", f"/proxies/{proxy['id']}/rotate", 202, json={"what": ["node"]})
    third = (await under_way(api))[2]
    async with writing(rows) as session:
        await rotation_steps.succeed(session, third)
    await api.report(one, online=False)
    await api.call("DELETE", f"/nodes/{one}?proxies=move", 204)
    assert await homes(api) == [other] * 3
    assert await under_way(api) == []
    assert await api.rows.fetchval("SELECT count(*) FROM endpoints") == 0


async def test_a_node_without_a_location_says_where_before_it_is_removed(api: Api, rows: Database):
    alone, far = await api.node(), await api.node()
    await running(api, alone, 1)
    await api.call("DELETE", f"/nodes/{alone}?proxies=move", 422)
    await move(api, alone, node_ids=[far])
    assert (await api.call("DELETE", f"/nodes/{alone}?proxies=move", 202))["moving"]["node_ids"] == [far]
