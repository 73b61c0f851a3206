"""A whole upgrade by the runner's own loop, over a real broker, with nodes that answer by reports."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from master.broker import Broker, password_hash
from master.db.constraints import writing
from master.db.database import Database
from master.db.notifications import Notifications
from master.domain.upgrades import service as upgrades
from master.domain.upgrades.releases import OfferedReleases
from master.domain.upgrades.runner import UpgradeRunner
from master.domain.upgrades.schemas import NewUpgrade, Upgrade
from master.sync.upgrade_requests import UpgradeRequests
from shared.proxies import NodeId
from tests.master.node_bus import CLUSTER, REPORT, Login, Master, served
from tests.master.upgrades import releases
from tests.services.postgres import Database as Address
from tests.services.rabbitmq import Vhost

NODES = (1, 2)


@pytest.fixture
async def master(rows: Database, database: Address, broker: Broker, vhost: Vhost) -> AsyncIterator[Master]:
    async with database.connection() as connection:
        for node in NODES:
            await connection.execute(
                "INSERT INTO nodes (name, ip, challenge_hash, broker_password_hash) VALUES ($1, '127.0.0.1', $1, 'h')",
                f"n{node}",
            )
    await broker.ensure_all({NodeId(node): password_hash(f"word-{node}") for node in NODES})
    async for made in served(rows, database, broker, vhost):
        yield made


@dataclass
class FakeNode:
    """Says by reports what a node says that upgrades itself, or that goes back."""

    login: Login
    is_bad: bool = False
    agent: str = "0.1.0"
    number: int = 0

    async def report(self, upgrade: dict[str, Any], **more: Any) -> None:
        self.number += 1
        said = {"rev": 1, "seen": 1, "done": 1, "session": 1, "number": self.number, "agent": self.agent, **more}
        await self.login.send("report", {**REPORT, **said, "upgrade": {"able": True, **upgrade}})

    async def run(self) -> None:
        await self.report({})
        while not (asked := [body for type_, body in self.login.got if type_ == "upgrade"]):
            await asyncio.sleep(0.02)
        request = json.loads(asked[-1])
        for state in ("fetching", "restarting"):
            await self.report({"id": request["id"], "version": request["version"], "state": state})
        if not self.is_bad:
            self.agent = request["version"]
        end = "rolled_back" if self.is_bad else "done"
        await self.report({"id": request["id"], "state": end, "reason": "it crashed" if self.is_bad else ""})


async def start(master: Master, folder: Path) -> tuple[int, UpgradeRunner, Notifications]:
    source, requests = OfferedReleases(releases(folder, "0.2.0")), UpgradeRequests(master.rows, master.links, CLUSTER)
    async with writing(master.rows) as session:
        release = await source.find(None)
        started = await upgrades.start(session, NewUpgrade(soak_s=0), release, "http://198.51.100.1:3007")
    waiter = Notifications(master.rows, lambda: None, lambda: None, lambda _: None)
    return started.id, UpgradeRunner(master.rows, waiter, source, requests), waiter


async def until(master: Master, id_: int, state: str) -> Upgrade:
    limit = time.monotonic() + 20
    while True:
        master.check()
        async with master.rows.session() as session:
            shown = await upgrades.get(session, id_)
        if shown.state == state:
            return shown
        assert time.monotonic() < limit, shown
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("is_bad", [False, True])
async def test_an_upgrade_goes_over_the_bus_to_its_end(master: Master, tmp_path: Path, is_bad: bool):
    logins = [await master.login(node) for node in NODES]
    nodes = [FakeNode(login, is_bad=is_bad) for login in logins]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(node.run()) for node in nodes]
        await master.told("node.online")
        id_, runner, waiter = await start(master, tmp_path)
        tasks += [group.create_task(waiter.run()), group.create_task(runner.run())]
        found = await until(master, id_, "halted" if is_bad else "done")
        for task in tasks:
            task.cancel()
    sent = [[type_ for type_, _ in login.got].count("upgrade") for login in logins]
    states = [node.state for node in found.nodes]
    if is_bad:
        assert (sorted(states), sorted(sent)) == (["rolled_back", "waiting"], [0, 1])
        assert found.reason is not None
        assert found.reason.endswith("it crashed")
    else:
        assert (states, sent) == (["done", "done"], [1, 1])
    for login in logins:
        await login.connection.close()


async def test_a_report_that_shows_a_restored_database_pauses_the_upgrade(master: Master, tmp_path: Path):
    login = await master.login(1)
    node = FakeNode(login)
    await node.report({})
    await master.told("node.online")
    id_, _, _ = await start(master, tmp_path)
    await node.report({}, seen=50)
    await master.told("node.database_rolled_back")
    assert (await until(master, id_, "paused")).reason is not None
    await login.connection.close()
