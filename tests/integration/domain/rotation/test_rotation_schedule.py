"""Rotations by schedule: kept on the proxy, each turn taken once."""

from typing import Any

from master.db.database import Database
from tests.integration.conftest import Api

HOURLY = {"every_s": 3600, "jitter_s": 60, "what": ["credentials"], "overlap_s": 30}


async def due(api: Api) -> None:
    await api.rows.execute("UPDATE schedules SET next_at = now() - interval '1 second'")


async def claim(rows: Database, most: int = 10) -> int:
    async with rows.session() as session:
        return await session.execute("rotation.claim_due", max_rows=most, actor="schedule")


async def shown(api: Api, proxy: dict[str, Any]) -> dict[str, Any]:
    return await api.call("GET", f"/proxies/{proxy['id']}", 200)


async def test_a_schedule_is_made_shown_changed_and_taken_away(api: Api):
    made = await api.proxy(await api.node(), rotation=HOURLY)
    assert {name: made["rotation"][name] for name in HOURLY} == HOURLY
    path = f"/proxies/{made['id']}"
    changed = await api.call("PATCH", path, 200, json={"rotation": {"every_s": 7200}})
    assert (changed["rotation"]["every_s"], changed["rotation"]["jitter_s"]) == (7200, 60)
    assert (await api.call("PATCH", path, 200, json={"rotation": None}))["rotation"] is None


async def test_a_schedule_that_means_nothing_is_refused(api: Api):
    node = await api.node()
    senseless: tuple[dict[str, Any], ...] = (
        {"every_s": 60},
        {"every_s": 60, "what": ["exit"]},
        {"every_s": 60, "what": ["port"], "overlap_s": 60},
        {"every_s": 60, "what": []},
    )
    for rotation in senseless:
        await api.call("POST", "/proxies", 422, json={"node_ids": [node], "rotation": rotation})


async def test_a_turn_is_taken_once_and_the_next_one_set_in_the_same_statement(api: Api, rows: Database):
    made = await api.proxy(await api.node(), rotation=HOURLY)
    assert await claim(rows) == 0
    await due(api)
    assert [await claim(rows), await claim(rows)] == [1, 0]
    next_at = (await shown(api, made))["rotation"]["next_at"]
    assert next_at > made["rotation"]["next_at"] or next_at > made["created_at"]


async def test_a_turn_that_comes_while_the_last_one_waits_for_its_node_is_not_a_second_one(api: Api, rows: Database):
    node = await api.node()
    await api.proxy(node, rotation=HOURLY)
    await api.report(node, online=False)
    for _ in range(3):
        await due(api)
        await claim(rows)
    assert await api.rows.fetchval("SELECT count(*) FROM rotations") == 1


async def test_a_disabled_proxy_lets_its_turn_pass(api: Api, rows: Database):
    await api.proxy(await api.node(), rotation=HOURLY, enabled=False)
    await due(api)
    assert await claim(rows) == 0
    assert await api.rows.fetchval("SELECT count(*) FROM schedules WHERE next_at < now()") == 0
