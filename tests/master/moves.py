"""Moves of proxies from node to node: asked for, and carried on step by step in the database."""

from typing import Any

from master.db.constraints import writing
from master.db.database import Database
from master.domain.nodes import drain_steps
from master.domain.rotation import steps as rotation_steps
from tests.integration.conftest import Api

MOVE = {"state": "draining", "move": True, "overlap_s": 0}


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
        await drain_steps.request_rotations(session, node)


async def finish(rows: Database, node: int) -> bool:
    async with writing(rows) as session:
        return await drain_steps.finish(session, node)


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
