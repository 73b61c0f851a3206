"""Nodes that drain by moving their proxies, as steps in the database."""

from typing import Any

import pytest

from master import draining, rotation_steps
from master.conflicts import writing
from master.db import Database
from tests.integration.conftest import Api
from tests.integration.test_api_terms import record

MOVE = {"state": "draining", "move": True, "overlap_s": 0}


@pytest.fixture
async def pair(api: Api) -> tuple[int, int]:
    """Two nodes of one location."""
    home = await api.location()
    return await api.node(location_id=home), await api.node(location_id=home)


async def shown(api: Api, node: int) -> dict[str, Any]:
    return await api.call("GET", f"/nodes/{node}", 200)


async def move(api: Api, node: int, **more: Any) -> dict[str, Any]:
    return (await api.call("PATCH", f"/nodes/{node}", 200, json={**MOVE, **more}))["moving"]


async def homes(api: Api) -> list[int]:
    return [one["node_id"] for one in (await api.call("GET", "/proxies?limit=1000", 200))["items"]]


async def details(api: Api, type_: str) -> list[dict[str, Any]]:
    return [one["details"] for one in (await api.call("GET", f"/events?type={type_}", 200))["items"]]


async def ask(rows: Database, node: int) -> None:
    async with writing(rows) as session:
        await draining.ask(session, node)


async def finish(rows: Database, node: int) -> bool:
    async with writing(rows) as session:
        return await draining.finish(session, node)


async def under_way(api: Api) -> list[int]:
    rows = await api.rows.fetch("SELECT id FROM rotations WHERE state NOT IN ('done', 'failed') ORDER BY id")
    return [row["id"] for row in rows]


async def begin_all(api: Api, rows: Database) -> None:
    for id_ in await under_way(api):
        async with writing(rows) as session:
            await rotation_steps.begin(session, id_)


async def succeed_all(api: Api, rows: Database) -> None:
    await begin_all(api, rows)
    for id_ in await under_way(api):
        async with writing(rows) as session:
            await rotation_steps.succeed(session, id_)


async def fail_all(api: Api, rows: Database, reason: str) -> None:
    for id_ in await under_way(api):
        async with writing(rows) as session:
            await rotation_steps.fail(session, id_, reason)


async def running(api: Api, node: int, count: int) -> list[dict[str, Any]]:
    made = [await api.proxy(node) for _ in range(count)]
    await api.report(node)
    return made


async def test_what_may_be_in_use_moves_make_before_break(api: Api, rows: Database, pair: tuple[int, int]):
    one, other = pair
    [before] = await running(api, one, 1)
    assert (await move(api, one))["left"] == 1
    await ask(rows, one)
    await begin_all(api, rows)
    assert (await record(rows, other, before["id"]))["port"] == before["port"]
    assert (await shown(api, one))["moving"]["starting"] == 1
    await succeed_all(api, rows)
    assert await homes(api) == [other]


async def test_what_nobody_uses_is_placed_anew_in_the_same_transaction(api: Api, rows: Database, pair: tuple[int, int]):
    one, other = pair
    off, failed, used = await api.proxy(one, enabled=False), await api.proxy(one), await api.proxy(one)
    await api.fail(failed["id"], "it is broken")
    await api.report(one)
    assert (await move(api, one))["left"] == 1
    assert await homes(api) == [other, other, one]
    assert used["id"] not in [
        each["proxy_id"] for each in (await api.call("GET", "/events?type=proxy.moved", 200))["items"]
    ]
    assert await details(api, "proxy.moved") == [
        {"from_node_id": one, "before": each["port"], "port": each["port"], "version": 2, "request_id": "a-test"}
        for each in (off, failed)
    ]
    assert await api.rows.fetchval("SELECT sum(count) FROM removals WHERE node_id = $1", one) == 1
    assert await api.rows.fetch("SELECT proxy_count FROM nodes ORDER BY id") == [(1,), (2,)]


async def test_whatever_an_offline_node_has_is_placed_anew_at_once(api: Api, pair: tuple[int, int]):
    one, other = pair
    await running(api, one, 2)
    await api.report(one, online=False)
    assert (await move(api, one))["left"] == 0
    assert await homes(api) == [other] * 2


async def test_a_port_is_kept_where_it_is_free_and_another_given_where_it_is_not(api: Api, pair: tuple[int, int]):
    one, other = pair
    await api.proxy(other, port=20_000)
    taken, free = await api.proxy(one, port=20_000, enabled=False), await api.proxy(one, port=20_007, enabled=False)
    await move(api, one)
    ports = [(await api.call("GET", f"/proxies/{each['id']}", 200))["port"] for each in (taken, free)]
    assert ports == [20_001, 20_007]


async def test_a_node_that_is_empty_says_so_once_and_stays_draining(api: Api, rows: Database, pair: tuple[int, int]):
    one, _ = pair
    await running(api, one, 2)
    await move(api, one)
    await ask(rows, one)
    await succeed_all(api, rows)
    for _ in range(2):
        assert not await finish(rows, one)
    now = await shown(api, one)
    assert (now["state"], now["moving"]["left"], now["moving"]["emptied_at"] is None) == ("draining", 0, False)
    assert (await api.event_types()).count("node.emptied") == 1


async def test_a_node_is_not_empty_while_a_former_endpoint_serves_on_there(
    api: Api, rows: Database, pair: tuple[int, int]
):
    one, _ = pair
    await running(api, one, 1)
    await move(api, one, overlap_s=60)
    await ask(rows, one)
    await succeed_all(api, rows)
    assert not await finish(rows, one)
    moving = (await shown(api, one))["moving"]
    assert (moving["left"], moving["overlapping"], moving["emptied_at"]) == (0, 1, None)


async def test_what_finds_no_room_stays_says_why_and_is_tried_again_later(
    api: Api, rows: Database, pair: tuple[int, int]
):
    one, other = pair
    await api.call("PATCH", f"/nodes/{other}", 200, json={"limits": {"max_proxies": 0}})
    [stays] = await running(api, one, 1)
    await move(api, one)
    for _ in range(2):
        await ask(rows, one)
    failure = (await shown(api, one))["moving"]["failures"][0]
    assert (failure["proxy_id"], failure["tries"]) == (stays["id"], 1)
    assert failure["reason"] == f"no other node can take it (node {other}: it is full: 0 of 0 proxies)"
    assert len(await details(api, "proxy.move_failed")) == 1


async def test_when_room_appears_what_failed_moves(api: Api, rows: Database, pair: tuple[int, int]):
    one, other = pair
    await api.report(other, online=False)
    await running(api, one, 1)
    await move(api, one)
    await ask(rows, one)
    assert "it is offline" in (await shown(api, one))["moving"]["failures"][0]["reason"]
    await api.report(other)
    await api.rows.execute("UPDATE drain_failures SET next_at = now()")
    await ask(rows, one)
    await succeed_all(api, rows)
    assert await homes(api) == [other]
    assert (await shown(api, one))["moving"]["failed"] == 0


async def test_a_new_endpoint_that_does_not_serve_leaves_the_proxy_and_is_tried_again_later(
    api: Api, rows: Database, pair: tuple[int, int]
):
    one, _ = pair
    await running(api, one, 1)
    await move(api, one)
    for tries in (1, 2):
        await ask(rows, one)
        await begin_all(api, rows)
        await fail_all(api, rows, "it is on fire")
        failure = (await shown(api, one))["moving"]["failures"][0]
        assert (failure["tries"], failure["reason"]) == (tries, "it is on fire")
        await ask(rows, one)
        assert await under_way(api) == []
        await api.rows.execute("UPDATE drain_failures SET next_at = now()")
    assert await homes(api) == [one]


async def test_the_turn_of_a_proxy_that_is_being_rotated_comes_after(api: Api, rows: Database, pair: tuple[int, int]):
    one, other = pair
    [busy] = await running(api, one, 1)
    await api.call("POST", f"/proxies/{busy['id']}/rotate", 202, json={"what": ["credentials"], "overlap_s": 0})
    await move(api, one)
    await ask(rows, one)
    assert len(await under_way(api)) == 1
    await succeed_all(api, rows)
    assert await homes(api) == [one]
    await ask(rows, one)
    await succeed_all(api, rows)
    assert await homes(api) == [other]


async def test_no_more_are_started_at_once_than_a_node_can_bear(api: Api, rows: Database, pair: tuple[int, int]):
    one, _ = pair
    await api.rows.execute(
        "INSERT INTO proxies (node_id, port, protocol, username, password)"
        " SELECT $1, 20000 + i, 'http', 'u', 'p' FROM generate_series(1, 200) i",
        one,
    )
    await api.report(one)
    await move(api, one)
    for _ in range(2):
        await ask(rows, one)
    assert len(await under_way(api)) == draining.MOST_STARTING
    await succeed_all(api, rows)
    await ask(rows, one)
    assert len(await under_way(api)) == draining.MOST_STARTING


async def test_a_node_that_is_active_again_keeps_what_has_not_begun_to_leave(
    api: Api, rows: Database, pair: tuple[int, int]
):
    one, other = pair
    await running(api, one, 2)
    await move(api, one)
    await ask(rows, one)
    [first, _] = await under_way(api)
    async with writing(rows) as session:
        await rotation_steps.begin(session, first)
    assert (await api.call("PATCH", f"/nodes/{one}", 200, json={"state": "active"}))["moving"] is None
    await ask(rows, one)
    assert await under_way(api) == [first]
    await succeed_all(api, rows)
    assert await homes(api) == [other, one]


async def test_a_move_can_be_called_off_while_the_node_goes_on_draining(
    api: Api, rows: Database, pair: tuple[int, int]
):
    one, _ = pair
    await running(api, one, 1)
    await move(api, one)
    now = await api.call("PATCH", f"/nodes/{one}", 200, json={"move": False})
    assert (now["state"], now["moving"]) == ("draining", None)
    await ask(rows, one)
    assert await under_way(api) == []


async def test_proxies_go_to_named_nodes_wherever_these_are(api: Api, rows: Database, pair: tuple[int, int]):
    one, _ = pair
    far = await api.node()
    await running(api, one, 1)
    assert (await move(api, one, node_ids=[far]))["node_ids"] == [far]
    await ask(rows, one)
    await succeed_all(api, rows)
    assert await homes(api) == [far]


async def test_a_move_that_means_nothing_is_refused(api: Api, pair: tuple[int, int]):
    one, _ = pair
    senseless: tuple[dict[str, Any], ...] = (
        {"move": True},
        {"state": "active", "move": True},
        {"overlap_s": 5},
        {"node_ids": [one]},
        {**MOVE, "node_ids": [999]},
    )
    for body in senseless:
        await api.call("PATCH", f"/nodes/{one}", 422, json=body)
    alone = await api.node()
    problem = await api.call("PATCH", f"/nodes/{alone}", 422, json=MOVE)
    assert problem["errors"][0]["pointer"] == "/node_ids"


async def test_a_move_that_is_asked_for_twice_is_one(api: Api, pair: tuple[int, int]):
    one, _ = pair
    for _ in range(2):
        await move(api, one)
    assert (await api.event_types()).count("node.moving") == 1
    assert (await move(api, one, overlap_s=5))["overlap_s"] == 5
    assert (await api.event_types()).count("node.moving") == 2


async def test_an_exit_that_no_other_node_has_keeps_its_proxy(api: Api, rows: Database, pair: tuple[int, int]):
    one, _ = pair
    await api.call("PATCH", f"/nodes/{one}", 200, json={"exits": {"ipv6_prefixes": ["2001:db8:1::/64"]}})
    await api.proxy(one, exit={"mode": "ipv6_random"}, enabled=False)
    failure = (await move(api, one))["failures"][0]
    assert "no IPv6 prefix is declared for it" in failure["reason"]


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
    assert problem["nodes"] == [{"node_id": other, "reason": "it is full: 2 of 2 proxies"}]
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


async def test_proxies_that_are_on_their_way_to_a_node_count_there(api: Api, rows: Database, pair: tuple[int, int]):
    one, other = pair
    await api.call("PATCH", f"/nodes/{other}", 200, json={"limits": {"max_proxies": 1}})
    first, second = await running(api, one, 2)
    await api.call("POST", f"/proxies/{first['id']}/rotate", 202, json={"what": ["node"]})
    await api.call("POST", f"/proxies/{second['id']}/rotate", 409, json={"what": ["node"]})


async def test_a_port_that_a_stranger_holds_on_the_other_node_is_not_kept(api: Api, pair: tuple[int, int]):
    one, other = pair
    [proxy] = await running(api, one, 1)
    await api.rows.execute(
        "INSERT INTO taken_ports (node_id, port, until) VALUES ($1, $2, now() + interval '1 hour')",
        other,
        proxy["port"],
    )
    await api.call("POST", f"/proxies/{proxy['id']}/rotate", 202, json={"what": ["node"]})
    assert await api.rows.fetchval("SELECT port FROM endpoints") == proxy["port"] + 1
