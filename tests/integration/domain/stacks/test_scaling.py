"""Stacks grow and shrink, by what is asked and by what is taken away."""

import asyncio

from tests.integration.conftest import Api
from tests.integration.domain.stacks.conftest import changed, members, named, stack


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


async def test_whatever_takes_proxies_away_takes_them_out_of_what_is_wanted(fleet: Api):
    await stack(fleet, 6)
    await fleet.call("DELETE", "/proxies?node_id=1&port=20000&expect=1", 200)
    await fleet.call("DELETE", "/nodes/2?proxies=delete", 204)
    now = await fleet.call("GET", "/stacks/1", 200)
    assert (now["count"], now["version"], len(await members(fleet))) == (2, 3, 2)
    events = (await fleet.call("GET", "/events?type=stack.scaled", 200))["items"]
    assert [(one["details"]["before"], one["details"]["count"]) for one in events] == [(6, 5), (5, 2)]


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
