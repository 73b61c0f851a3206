"""Nodes that drain by moving their proxies: what moves how, and where to."""

from master.db.database import Database
from master.domain.nodes import drain_steps
from tests.integration.conftest import Api
from tests.integration.domain.proxies.test_options import record
from tests.master.moves import ask, begin_all, details, finish, homes, move, running, shown, succeed_all, under_way


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
        {"from_node_id": one, "before": each["port"], "port": each["port"], "version": 2} for each in (off, failed)
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
    assert len(await under_way(api)) == drain_steps.MAX_STARTING
    await succeed_all(api, rows)
    await ask(rows, one)
    assert len(await under_way(api)) == drain_steps.MAX_STARTING


async def test_proxies_go_to_named_nodes_wherever_these_are(api: Api, rows: Database, pair: tuple[int, int]):
    one, _ = pair
    far = await api.node()
    await running(api, one, 1)
    assert (await move(api, one, node_ids=[far]))["node_ids"] == [far]
    await ask(rows, one)
    await succeed_all(api, rows)
    assert await homes(api) == [far]


async def test_a_move_that_is_asked_for_twice_is_one(api: Api, pair: tuple[int, int]):
    one, _ = pair
    for _ in range(2):
        await move(api, one)
    assert (await api.event_types()).count("node.moving") == 1
    assert (await move(api, one, overlap_s=5))["overlap_s"] == 5
    assert (await api.event_types()).count("node.moving") == 2


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


async def test_a_move_that_is_asked_for_again_tries_at_once_what_failed_and_says_when(
    api: Api, rows: Database, pair: tuple[int, int]
):
    one, other = pair
    [proxy] = await running(api, one, 1)
    await api.call("PATCH", f"/nodes/{other}", 200, json={"state": "disabled"})
    await move(api, one)
    await ask(rows, one)
    [failure] = (await shown(api, one))["moving"]["failures"]
    [again] = (await move(api, one))["failures"]
    assert (again["proxy_id"], again["tries"]) == (proxy["id"], failure["tries"])
    assert again["next_at"] < failure["next_at"]
    assert (await shown(api, one))["moving"]["failures"] == [again]
    await ask(rows, one)
    assert (await shown(api, one))["moving"]["failures"][0]["tries"] == 2
