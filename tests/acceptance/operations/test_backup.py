"""The printed commands save the database and bring it back, when the database and the broker are lost as a whole."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import eventually, has_event, made
from tests.acceptance.faults.test_streams import opened, streaming
from tests.clients.traffic import Client, accepts
from tests.cluster.cluster import Cluster, cluster, succeeded
from tests.documents.commands import Shell, examples
from tests.documents.markdown import text_of
from tests.services.folders import Folder
from tests.services.ports import claim_block
from tests.services.postgres import PostgreSQL
from tests.services.programs import Process
from tests.services.rabbitmq import RabbitMQ
from tests.services.sources import Where

pytestmark = pytest.mark.long

DOCUMENT = "docs/operations/backup.md"
HEALED_S = 90
ROUND_BYTES = 1024
"""What each round of a stream sends, and receives again."""


@dataclass
class Losable:
    """A cluster whose services are its own, so that they can be lost with all of their data."""

    fleet: Cluster
    where: Where
    shell: Shell

    async def lose_everything(self) -> None:
        """Kill the masters, the database and the broker, and start the services again without their data."""
        fleet = self.fleet
        for who in ("master", "rabbitmq", "postgres"):
            await fleet.kill(who)
        for service in (fleet.postgres, fleet.rabbitmq):
            await service.end()
        for name in ("postgres", "rabbitmq"):
            for folder in self.where.folder.path.glob(name):
                shutil.rmtree(folder)
        await self.start_services()

    async def start_services(self) -> None:
        fleet = self.fleet
        new = await self.where.postgres(), await self.where.rabbitmq()
        fleet.postgres.program, fleet.postgres.prepare = new[0].program, new[0].prepare
        fleet.rabbitmq.program, fleet.rabbitmq.port_mapper = new[1].program, new[1].port_mapper
        async with asyncio.TaskGroup() as group:
            group.create_task(fleet.postgres.start())
            group.create_task(fleet.rabbitmq.start())

    def run(self, title: str) -> None:
        """Run the commands of a section as they are printed."""
        section = text_of(DOCUMENT).partition(f"\n## {title}\n")[2].partition("\n## ")[0]
        found = examples(section)
        assert found
        assert [reason for example in found if (reason := self.shell.run(example))] == []


@pytest.fixture
async def losable(where: Where, tmp_path: Path) -> AsyncIterator[Losable]:
    path = where.folder.path / "losable"
    path.mkdir(mode=0o711)  # the services have an account of their own
    with claim_block().held() as ports:
        own = replace(where, folder=Folder(path, durable=False), ports=ports)
        postgres, rabbitmq = await own.postgres(), await own.rabbitmq()
        programs = programs_of(postgres, rabbitmq)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(postgres.start())
                group.create_task(rabbitmq.start())
            database = await postgres.create("maybe")
            async with cluster(own, postgres, rabbitmq, database, rabbitmq.admin) as fleet:
                shell = shell_of(fleet, programs, tmp_path)
                yield Losable(fleet, own, shell)
                shell.close()
        finally:
            await postgres.end()
            await rabbitmq.end()


def programs_of(postgres: PostgreSQL, rabbitmq: RabbitMQ) -> Path:
    """The folder of pg_dump. Skips where the server's own programs or its data are out of reach."""
    server, broker = postgres.program, rabbitmq.program
    if not isinstance(server, Process) or not isinstance(broker, Process):
        pytest.skip("the services are not processes of this machine")
    found = Path(server.command[0]).parent
    if not (found / "pg_dump").exists():
        pytest.skip("pg_dump of this server is not here")
    return found


def shell_of(fleet: Cluster, programs: Path, folder: Path) -> Shell:
    database = fleet.database
    fixtures = {"PGHOST": database.host, "PGPORT": str(database.port), "PGUSER": database.user}
    shell = Shell(folder, {**fixtures, "PGDATABASE": database.name, "API": str(fleet.api.base_url).rstrip("/")})
    shell.enter(f"PGPASSWORD='{database.password}'; export PGPASSWORD; PATH=\"{programs}:$PATH\"")
    return shell


async def test_a_restored_database_and_an_empty_broker_have_the_fleet_of_the_backup_without_a_cut_stream(
    losable: Losable, client: Client
):
    fleet = losable.fleet
    succeeded(await fleet.api.post("/locations", json={"name": "home"}))
    for _ in range(2):
        await fleet.node(location_id=1)
    kept = [await made(fleet, node_ids=[number], labels={"customer": "1"}) for number in (1, 1, 2, 2)]
    sold = await made(fleet, node_ids=[1])
    async with streaming(await opened(client, kept, 40)) as rounds:
        losable.run("Backing up")
        since = await what_happens_after_the_backup(fleet, sold)
        revisions = await revisions_of(fleet)
        last_event = succeeded(await fleet.api.get("/events?order=desc&limit=1")).json()["items"][0]["id"]
        await losable.lose_everything()
        losable.run("Restoring")
        before = list(rounds)
        await fleet.start("master")
        await eventually(lambda: has_event(fleet, "node.database_rolled_back"), HEALED_S)
        await eventually(lambda: has_event(fleet, "node.list_held"), HEALED_S)
        assert await accepts(since[-1])  # the held list stops nothing
        succeeded(await fleet.api.post("/nodes/2/sync", json={"confirm": True}))
        await fleet.converged(within=HEALED_S)
        losable.run("After a restore")
        losable.run("A backup that is older than the fleet")
        await fleet.converged(within=HEALED_S)
        assert all(now > then for now, then in zip(rounds, before, strict=True))
        await eventually(lambda: all_traffic_is_counted(fleet, rounds), 60)
    for proxy in since:
        assert not await accepts(proxy)
    assert all(now > then for now, then in zip(await revisions_of(fleet), revisions, strict=True))
    await nothing_is_given_twice(fleet, client, [*kept, sold, *since], last_event)
    again = succeeded(await fleet.api.get(f"/proxies/{sold['id']}")).json()
    assert again["password"] != sold["password"]


async def what_happens_after_the_backup(fleet: Cluster, sold: dict[str, Any]) -> list[dict[str, Any]]:
    """A sale, and proxies that are created: more on node 2 than a list may stop unasked."""
    claimed = await fleet.api.post("/proxies/claim", json={"count": 1, "filter": {}, "labels": {"customer": "9"}})
    assert [proxy["id"] for proxy in succeeded(claimed).json()["items"]] == [sold["id"]]
    return [await made(fleet, node_ids=[number]) for number in [1, 1, *[2] * 14]]


async def all_traffic_is_counted(fleet: Cluster, rounds: list[int]) -> bool:
    """Whether usage has the traffic of the streams, that between the backup and the restore included.

    Reports come some seconds late. Without the time in between, about half would be missing.
    """
    usage = succeeded(await fleet.api.get("/usage?label=customer:1")).json()
    received = sum(item["received_bytes"] for item in usage["items"])
    assert received > 0.9 * ROUND_BYTES * sum(rounds), (received, ROUND_BYTES * sum(rounds))
    return True


async def revisions_of(fleet: Cluster) -> list[int]:
    nodes = succeeded(await fleet.api.get("/nodes?sort=id")).json()["items"]
    return [node["revision"] for node in nodes]


async def nothing_is_given_twice(fleet: Cluster, client: Client, given: list[dict[str, Any]], last_event: int) -> None:
    """New proxies and events have ids of their own, and new proxies serve."""
    new = [await made(fleet, node_ids=[number]) for number in (1, 2)]
    assert {proxy["id"] for proxy in new} & {proxy["id"] for proxy in given} == set()
    assert {proxy["password"] for proxy in new} & {proxy["password"] for proxy in given} == set()
    for proxy in new:
        await client.use(proxy)
    seen = succeeded(await fleet.api.get(f"/events?after={last_event}&limit=1000")).json()["items"]
    assert {event["type"] for event in seen} >= {"node.database_rolled_back", "proxy.created"}
