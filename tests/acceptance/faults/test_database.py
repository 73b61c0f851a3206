"""What a running master makes of a database that is broken, restored or unwilling under it."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.acceptance.conftest import eventually, logged, made
from tests.clients.traffic import Client
from tests.cluster.cluster import Cluster, succeeded
from tests.services.postgres import Database
from tests.services.programs import Process

HEALED_S = 60
ILL_S = 7.0
"""Each of the master's loops looks within 5 s."""


@dataclass(frozen=True)
class Ailment:
    """Statements that make a database ill, and those that heal it; connections are cut after each."""

    inflict: str
    heal: str


AILMENTS = {
    "its schema is gone": Ailment(
        "ALTER SCHEMA public RENAME TO hidden; CREATE SCHEMA public",
        "DROP SCHEMA public CASCADE; ALTER SCHEMA hidden RENAME TO public",
    ),
    "a table is missing": Ailment("ALTER TABLE rotations RENAME TO hidden", "ALTER TABLE hidden RENAME TO rotations"),
    "a column is missing": Ailment(
        "ALTER TABLE drains RENAME next_check_at TO hidden", "ALTER TABLE drains RENAME hidden TO next_check_at"
    ),
    "it takes no writes": Ailment(
        "ALTER DATABASE {name} SET default_transaction_read_only = on",
        "SET default_transaction_read_only = off; ALTER DATABASE {name} RESET default_transaction_read_only",
    ),
    "every statement takes too long": Ailment(
        "ALTER DATABASE {name} SET statement_timeout = 1",
        "SET statement_timeout = 0; ALTER DATABASE {name} RESET statement_timeout",
    ),
    "it takes no connections": Ailment(
        "ALTER DATABASE {name} ALLOW_CONNECTIONS false", "ALTER DATABASE {name} ALLOW_CONNECTIONS true"
    ),
}
ROUND = timedelta(seconds=17)
"""Every node reports within this time, and what its report calls for is done before its next one."""
CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()"


@asynccontextmanager
async def ill(fleet: Cluster, ailment: Ailment) -> AsyncIterator[None]:
    where = fleet.postgres.admin if "ALLOW_CONNECTIONS" in ailment.inflict else fleet.database
    await treat(where, fleet.database.name, ailment.inflict)
    try:
        yield
    finally:
        await treat(where, fleet.database.name, ailment.heal)


async def treat(where: Database, name: str, statements: str) -> None:
    async with where.connection() as connection:
        for statement in statements.format(name=name).split("; "):
            await connection.execute(statement)
        await connection.fetch(CUT, name)


async def statuses(fleet: Cluster, seconds: float) -> set[int]:
    """What reads and writes are answered for so long."""
    found: set[int] = set()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found.add((await fleet.api.get("/proxies")).status_code)
        found.add((await fleet.api.get("/events")).status_code)
        found.add((await fleet.api.post("/locations", json={"name": f"at {time.monotonic()}"})).status_code)
        found.add((await fleet.api.post("/proxies", json={"location_id": 1})).status_code)
        await asyncio.sleep(0.1)
    return found


async def makes_locations(fleet: Cluster) -> bool:
    return (await fleet.api.post("/locations", json={"name": f"after {time.monotonic()}"})).status_code == 201


@pytest.mark.parametrize("ailment", AILMENTS)
async def test_a_master_outlives_a_database_of_which(ailment: str, bare: Cluster):
    pid = bare.masters["master"].pid
    async with ill(bare, AILMENTS[ailment]):
        answers = await statuses(bare, ILL_S)
        await eventually(lambda: logged(bare, "master", "loop.delayed"), 30)
    assert answers <= {200, 201, 409, 503}
    await eventually(lambda: makes_locations(bare), 30)
    assert (bare.masters["master"].is_running, bare.masters["master"].pid) == (True, pid)


async def test_a_restore_under_a_running_master_ends_nothing_and_converges(fleet: Cluster, client: Client):
    await fleet.master()
    stays = await made(fleet, node_ids=[1])
    kept = await client.tunnel(stays)
    backup = await fleet.backup_database()
    for _ in range(3):
        await made(fleet, node_ids=[1])
    pids = {name: program.pid for name, program in fleet.masters.items()}
    await fleet.postgres.drop(fleet.database.name)
    answers = await statuses(fleet, ILL_S)
    await fleet.postgres.create(fleet.database.name, template=backup)
    await fleet.postgres.drop(backup)
    assert answers == {503}
    await fleet.converged(within=HEALED_S)
    succeeded(await fleet.api.post("/proxies", json={"node_ids": [2]}))
    await fleet.converged(within=HEALED_S)
    assert {name: program.pid for name, program in fleet.masters.items() if program.is_running} == pids
    await kept.beat()


async def test_a_restore_that_brings_back_table_after_table_stops_no_proxy(
    fleet: Cluster, client: Client, tmp_path: Path
):
    """By pg_restore under running masters: for a while the nodes are there without their proxies."""
    dump = Dump(fleet, tmp_path)
    kept = [await client.tunnel(await made(fleet, node_ids=[node_id])) for node_id in (1, 2)]
    await dump.write()
    await dump.empty()
    since = datetime.now(UTC)
    await dump.restore("--section=pre-data")
    await dump.restore("--section=data", without="proxies")
    await eventually(lambda: heard_of_all(fleet, since + ROUND), 60)
    await dump.restore("--section=data", only="proxies")
    await dump.restore("--section=post-data")
    await fleet.converged(within=HEALED_S)
    succeeded(await fleet.api.post("/proxies", json={"node_ids": [1]}))
    await fleet.converged(within=HEALED_S)
    for tunnel in kept:
        await tunnel.beat()


async def heard_of_all(fleet: Cluster, since: datetime) -> bool:
    """Whether each node has reported after this."""
    async with fleet.database.connection() as rows:
        return await rows.fetchval("SELECT count(*) FROM node_status WHERE reported_at > $1", since) == 2


EMPTY = "DROP SCHEMA public, narrowed_label, narrowed_stack, narrowed_location CASCADE; CREATE SCHEMA public"
"""All that the migrations create; the schema `public` is there before the first one."""


@dataclass(frozen=True)
class Dump:
    """A dump of the cluster's database. Skips where its server's own pg_dump is not here."""

    fleet: Cluster
    folder: Path

    async def write(self) -> None:
        await self._run("pg_dump", "--format=custom", f"--file={self.folder / 'dump'}", self.fleet.database.name)

    async def empty(self) -> None:
        await treat(self.fleet.database, self.fleet.database.name, EMPTY)

    async def restore(self, *options: str, without: str | None = None, only: str | None = None) -> None:
        listed = (await self._run("pg_restore", "--list", *options, str(self.folder / "dump"))).splitlines()
        chosen = [line for line in listed if is_of(line, only) and not (without and is_of(line, without))]
        (self.folder / "list").write_text("\n".join(chosen))
        target = (f"--use-list={self.folder / 'list'}", f"--dbname={self.fleet.database.name}")
        await self._run("pg_restore", *options, *target, str(self.folder / "dump"))

    async def _run(self, program: str, *arguments: str) -> str:
        server = self.fleet.postgres.program
        found = Path(server.command[0]).with_name(program) if isinstance(server, Process) else None
        if found is None or not found.exists():
            pytest.skip(f"{program} of this server is not here")
        database = self.fleet.database
        login = {"PGHOST": database.host, "PGPORT": str(database.port), "PGUSER": database.user}
        environment = {**os.environ, **login, "PGPASSWORD": database.password}
        running = await asyncio.create_subprocess_exec(
            found, *arguments, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        told, wrong = await running.communicate()
        assert running.returncode == 0, wrong.decode()
        return told.decode()


def is_of(line: str, table: str | None) -> bool:
    """Whether a line of pg_restore's list is the data of this table; every line is of None."""
    return table is None or f" TABLE DATA public {table} " in line
