"""Rotation as steps in the database: what becomes of proxies, endpoints, nodes and events."""

from typing import Any

from master.db.constraints import writing
from master.db.database import Database
from master.domain.rotation import steps as rotation_steps
from tests.integration.conftest import Api
from tests.integration.domain.proxies.test_options import record


async def asked(api: Api, proxy: dict[str, Any], *what: str, **more: Any) -> dict[str, Any]:
    return (await api.call("POST", f"/proxies/{proxy['id']}/rotate", 202, json={"what": what, **more}))["rotation"]


async def steps(api: Api) -> list[tuple[int, str]]:
    rows = await api.rows.fetch("SELECT id, step FROM rotation_steps WHERE step IS NOT NULL ORDER BY id")
    return [(row["id"], row["step"]) for row in rows]


async def succeed(rows: Database, begun: dict[str, Any]) -> None:
    async with writing(rows) as session:
        await rotation_steps.succeed(session, begun["id"])


async def fail(rows: Database, begun: dict[str, Any], reason: str = "it does not serve") -> None:
    async with writing(rows) as session:
        await rotation_steps.fail(session, begun["id"], reason)


async def end(rows: Database, begun: dict[str, Any]) -> None:
    async with writing(rows) as session:
        await rotation_steps.end(session, begun["id"])


def logins(told: dict[str, Any]) -> set[tuple[int, str, str]]:
    """(port, user name, password) of a record as its node is told."""
    return {(each["port"], each["username"], each["password"]) for each in (told, *told.get("also", []))}


def login(proxy: dict[str, Any]) -> tuple[int, str, str]:
    return proxy["port"], proxy["username"], proxy["password"]


async def shown(api: Api, proxy: dict[str, Any]) -> dict[str, Any]:
    return await api.call("GET", f"/proxies/{proxy['id']}", 200)


async def test_a_new_login_and_port_serve_beside_the_old_ones_before_they_are_shown(api: Api, rows: Database):
    node = await api.node()
    before = await api.proxy(node)
    begun = await asked(api, before, "credentials", "port")
    told = await record(rows, node, before["id"])
    assert begun["state"] == "starting"
    assert login(await shown(api, before)) == login(before)
    assert login(before) in logins(told)
    assert [each["port"] == before["port"] for each in told["also"]] == [False]


async def test_nothing_is_to_be_done_until_the_node_has_confirmed_the_new_endpoint(api: Api):
    node = await api.node()
    begun = await asked(api, await api.proxy(node), "port")
    assert await steps(api) == []
    await api.report(node)
    assert await steps(api) == [(begun["id"], "probe")]


async def test_after_success_both_serve_until_the_overlap_ends_and_then_only_the_new_one(api: Api, rows: Database):
    node = await api.node()
    before = await api.proxy(node)
    begun = await asked(api, before, "credentials", overlap_s=5)
    while_starting = logins(await record(rows, node, before["id"]))
    await succeed(rows, begun)
    after = await shown(api, before)
    assert logins(await record(rows, node, before["id"])) == while_starting == {login(before), login(after)}
    await end(rows, begun)
    assert logins(await record(rows, node, before["id"])) == {login(after)}
    assert (await api.event_types())[-3:] == ["proxy.rotation_begun", "proxy.rotated", "proxy.rotation_ended"]


async def test_without_an_overlap_the_old_endpoint_ends_with_the_change(api: Api, rows: Database):
    node = await api.node()
    before = await api.proxy(node)
    begun = await asked(api, before, "port", overlap_s=0)
    await succeed(rows, begun)
    after = await shown(api, before)
    assert logins(await record(rows, node, before["id"])) == {login(after)}
    assert (await api.call("GET", f"/rotations/{begun['id']}", 200))["state"] == "done"


async def test_a_failure_leaves_the_proxy_as_it_was_and_the_event_says_why(api: Api, rows: Database):
    node = await api.node()
    before = await api.proxy(node)
    await fail(rows, await asked(api, before, "credentials", "port"), "it is on fire")
    assert login(await shown(api, before)) == login(before)
    assert logins(await record(rows, node, before["id"])) == {login(before)}
    [last] = (await api.call("GET", "/events?type=proxy.rotation_failed", 200))["items"]
    assert last["details"]["reason"] == "it is on fire"


async def test_each_step_is_done_once_however_often_it_is_tried(api: Api, rows: Database):
    node = await api.node()
    before = await api.proxy(node)
    begun = await asked(api, before, "credentials")
    await succeed(rows, begun)
    once = await shown(api, before)
    for again in (succeed, fail, succeed):
        await again(rows, begun)
    assert await shown(api, before) == once
    assert (await api.event_types()).count("proxy.rotated") == 1


async def test_on_another_node_the_endpoint_is_a_record_of_its_own_until_the_former_node_is_left(
    api: Api, rows: Database
):
    home = await api.location()
    one, other = await api.node(location_id=home), await api.node(location_id=home)
    before = await api.proxy(one)
    begun = await asked(api, before, "node", overlap_s=5)
    told = await record(rows, other, before["id"])
    assert (told["port"], told["username"], told["version"]) == (before["port"], before["username"], 2)
    assert await steps(api) == []
    await api.report(other)
    assert await steps(api) == [(begun["id"], "probe")]
    await succeed(rows, begun)
    assert (await shown(api, before))["node_id"] == other
    assert logins(await record(rows, one, before["id"])) == {login(before)}
    await end(rows, begun)
    assert await api.rows.fetchval("SELECT count(*) FROM desired_proxies WHERE node_id = $1", one) == 0
    assert await api.rows.fetchval("SELECT sum(count) FROM removals WHERE node_id = $1", one) == 1


async def test_a_proxy_that_is_removed_while_it_is_rotated_leaves_nothing_on_either_node(api: Api, rows: Database):
    home = await api.location()
    one, other = await api.node(location_id=home), await api.node(location_id=home)
    before = await api.proxy(one)
    begun = await asked(api, before, "node")
    await api.call("DELETE", f"/proxies/{before['id']}", 204)
    assert await api.rows.fetchval("SELECT count(*) FROM desired_proxies") == 0
    assert await api.rows.fetchval("SELECT count(*) FROM removals WHERE node_id = ANY ($1)", [one, other]) == 2
    assert await steps(api) == [(begun["id"], "fail")]
    await fail(rows, begun, "the proxy was removed")
    assert (await api.call("GET", f"/rotations/{begun['id']}", 200))["state"] == "failed"


async def test_a_port_of_an_endpoint_is_given_to_nobody_else(api: Api):
    node = await api.node()
    before = await api.proxy(node)
    await asked(api, before, "port")
    assert (await api.proxy(node))["port"] == before["port"] + 2
    await api.call("POST", "/proxies", 409, json={"node_ids": [node], "port": before["port"] + 1})


async def test_a_port_that_was_just_given_up_is_not_given_away_before_its_node_can_have_closed_it(
    api: Api, rows: Database
):
    node = await api.node()
    before = await api.proxy(node)
    await succeed(rows, await asked(api, before, "port", overlap_s=0))
    assert (await api.proxy(node))["port"] == before["port"] + 2


async def test_what_is_being_rotated_is_not_changed_beside_it_and_not_rotated_twice(api: Api):
    proxy = await api.proxy(await api.node())
    await asked(api, proxy, "credentials")
    await api.call("PATCH", f"/proxies/{proxy['id']}", 409, json={"password": "another-one"})
    await api.call("POST", f"/proxies/{proxy['id']}/rotate", 409, json={"what": ["port"]})
    await api.call("PATCH", f"/proxies/{proxy['id']}", 200, json={"labels": {"a": "b"}})


async def test_a_fixed_exit_goes_to_the_next_declared_address_and_back_when_it_fails(api: Api, rows: Database):
    node = await api.node()
    await api.call("PATCH", f"/nodes/{node}", 200, json={"exits": {"addresses": ["10.1.0.1", "10.1.0.2", "fd00::1"]}})
    before = await api.proxy(node, exit={"mode": "address", "address": "10.1.0.2"})
    begun = await asked(api, before, "exit")
    assert (await shown(api, before))["exit"]["address"] == "10.1.0.1"
    await fail(rows, begun)
    assert (await shown(api, before))["exit"]["address"] == "10.1.0.2"


async def test_sessions_are_forgotten_by_another_generation_which_later_changes_keep(api: Api, rows: Database):
    node = await api.node()
    await api.call("PATCH", f"/nodes/{node}", 200, json={"exits": {"ipv6_prefixes": ["2001:db8:1::/64"]}})
    before = await api.proxy(node, exit={"mode": "ipv6_session"})
    await succeed(rows, await asked(api, before, "exit"))
    await api.call("PATCH", f"/proxies/{before['id']}", 200, json={"labels": {"a": "b"}})
    assert (await record(rows, node, before["id"]))["exit"]["generation"] == 1


async def test_what_cannot_be_rotated_is_refused_by_name(api: Api):
    node = await api.node(engines=("builtin", "3proxy"))
    old = await api.proxy(node, engine="3proxy")
    refused = await api.call("POST", f"/proxies/{old['id']}/rotate", 409, json={"what": ["port"]})
    assert "3proxy cannot listen on a second port" in refused["detail"]
    plain = await api.proxy(node, allow_ips=["10.0.0.0/8"])
    for what in ("credentials", "exit"):
        await api.call("POST", f"/proxies/{plain['id']}/rotate", 409, json={"what": [what]})
    await api.call("POST", f"/proxies/{plain['id']}/rotate", 422, json={"what": ["node"]})


async def test_an_offline_node_fails_what_was_asked_for_and_keeps_the_turn_of_a_schedule(api: Api):
    node = await api.node()
    for_now, by_itself = await api.proxy(node), await api.proxy(node)
    await api.report(node, online=False)
    begun = await asked(api, for_now, "port")
    await api.rows.execute(
        "INSERT INTO rotations (proxy_id, what, overlap_s, scheduled, actor)"
        " VALUES ($1, '{port}', 0, true, 'schedule')",
        by_itself["id"],
    )
    assert await steps(api) == [(begun["id"], "fail")]
    await api.report(node)
    assert [step for _, step in await steps(api)] == ["probe", "begin"]


async def test_a_fleet_is_rotated_as_a_whole_or_not_at_all(api: Api):
    node = await api.node()
    for _ in range(3):
        await api.proxy(node)
    path = f"/proxies/rotate?node_id={node}"
    await api.call("POST", f"{path}&expect=2", 409, json={"what": ["port"]})
    begun = await api.call("POST", f"{path}&expect=3", 202, json={"what": ["port"]})
    assert begun["matched"] == len(begun["rotation_ids"]) == 3
    assert [step for _, step in await steps(api)] == ["begin"] * 3
