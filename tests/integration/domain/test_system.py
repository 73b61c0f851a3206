"""The system: masters, versions and settings."""

import asyncio

from master.db.database import Database
from master.domain.system.presence import Presence
from shared.version import program_version
from tests.integration.conftest import Api
from tests.services.postgres import Database as Address


async def masters(api: Api) -> list[str]:
    return [one["id"] for one in (await api.call("GET", "/system", 200))["masters"]]


async def test_the_system_shows_its_cluster_versions_and_retention(api: Api):
    system = await api.call("GET", "/system", 200)
    assert system["cluster"] == await api.rows.fetchval("SELECT id::text FROM cluster")
    assert system["version"] == program_version()
    assert (await api.rows.fetchval("SHOW server_version")).startswith(system["postgresql"]["version"])
    assert system["rabbitmq"] == {"version": None, "state": "down"}
    assert system["retention"]["usage_hours_days"] == 90


async def test_a_master_is_listed_while_it_runs_and_a_killed_one_for_a_day(api: Api, rows: Database, database: Address):
    killed, own = Presence(Database(database.connect)), Presence(rows)
    await killed.refresh()
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        running = group.create_task(own.run())
        while len(found := await masters(api)) < 2:
            await asyncio.sleep(0.05)
        running.cancel()
    own_id = rows.name.rpartition(" ")[2]
    [killed_id] = [id_ for id_ in found if id_ != own_id]  # both began at once, so either may come first
    assert await masters(api) == [killed_id]
    await api.rows.execute("UPDATE masters SET last_seen_at = now() - interval '25 hours'")
    await own.refresh()
    assert await masters(api) == [own_id]


async def test_a_row_that_was_lost_comes_back_with_the_time_of_the_start(api: Api, rows: Database):
    presence = Presence(rows)
    await presence.refresh()
    began = await api.rows.fetchval("SELECT started_at FROM masters")
    await api.rows.execute("DELETE FROM masters")
    await presence.refresh()
    assert abs((await api.rows.fetchval("SELECT started_at FROM masters") - began).total_seconds()) < 1
