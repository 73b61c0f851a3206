"""Nodes that drain by moving their proxies: what stays, why, and for how long."""

from typing import Any

from master.db.constraints import writing
from master.db.database import Database
from master.domain.rotation import steps as rotation_steps
from tests.integration.conftest import Api
from tests.master.moves import (
    MOVE,
    ask,
    begin_all,
    details,
    fail_all,
    homes,
    move,
    running,
    shown,
    succeed_all,
    under_way,
)


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


async def test_an_exit_that_no_other_node_has_keeps_its_proxy(api: Api, rows: Database, pair: tuple[int, int]):
    one, _ = pair
    await api.call("PATCH", f"/nodes/{one}", 200, json={"exits": {"ipv6_prefixes": ["2001:db8:1::/64"]}})
    await api.proxy(one, exit={"mode": "ipv6_random"}, enabled=False)
    failure = (await move(api, one))["failures"][0]
    assert "no IPv6 prefix is declared for it" in failure["reason"]
