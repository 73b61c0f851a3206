"""Nodes of the previous release work with this master, and a master of the previous release with this node."""

import secrets
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.acceptance.conftest import made, shown
from tests.clients.traffic import Client
from tests.cluster.cluster import Cluster, succeeded
from tests.launch.registry import ROOT
from tests.services.folders import Folder
from tests.services.ports import API
from tests.services.postgres import PostgreSQL
from tests.services.programs import tail
from tests.services.rabbitmq import RabbitMQ, Vhost
from tests.services.sources import Where

pytestmark = pytest.mark.long

BEFORE_RELEASES = "8c15f48af30475f8a11111f5625636b0b48fb651"
"""The first state whose enrolment gives nodes the addresses of several brokers. It stands for the previous release
until one is tagged."""


def git(*arguments: str) -> bytes | None:
    """Return the output of git in this checkout; None when it fails."""
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else None


def previous_commit() -> str:
    """Return the newest tag before this commit, or else the state before releases."""
    tag = git("describe", "--tags", "--abbrev=0", "HEAD^")
    return tag.decode().strip() if tag else BEFORE_RELEASES


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code of the previous release, with the libraries of this environment."""
    commit, folder = previous_commit(), tmp_path_factory.mktemp("previous")
    archive = git("archive", commit, "master", "node", "shared", "pyproject.toml")
    if archive is None:
        pytest.skip(f"this clone has not the history of {commit}: it is shallow, or no clone at all")
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True)
    return folder


@pytest.fixture
def services_of(where: Where, postgres: PostgreSQL, rabbitmq: RabbitMQ, vhost: Vhost) -> "Services":
    return Services(where, postgres, rabbitmq, vhost)


class Services:
    """What clusters of this module need."""

    def __init__(self, where: Where, postgres: PostgreSQL, rabbitmq: RabbitMQ, vhost: Vhost) -> None:
        self._where, self._postgres, self._rabbitmq, self._vhost = where, postgres, rabbitmq, vhost.in_clear()

    @asynccontextmanager
    async def cluster(self, code: Mapping[str, Path]) -> AsyncIterator[Cluster]:
        """A master and a node, one of them of other code. The master migrates a database of its own."""
        folder = Folder(self._where.folder.private(f"cluster-{secrets.token_hex(4)}"), durable=False)
        where = replace(self._where, folder=folder)
        name = f"maybe_{secrets.token_hex(6)}"
        database = await self._postgres.create(name)
        services = (self._postgres, self._rabbitmq, database, self._vhost)
        cluster = Cluster(where.folder, where.ports, *services, where.ports.port(API), code=code)
        try:
            await cluster.master()
            succeeded(await cluster.api.post("/locations", json={"name": "home"}))
            await cluster.node(location_id=1)
            yield cluster
        finally:
            for program in cluster.programs.values():
                print(f"{program.name}:\n{tail(program.log, 30)}")
            await cluster.close()
            await self._postgres.drop(name)


@pytest.mark.parametrize("other", ["node", "master"])
async def test_proxies_are_made_used_changed_and_removed_with_one_side_of_the_previous_release(
    other: str, previous: Path, services_of: Services, client: Client
) -> None:
    async with services_of.cluster({other: previous}) as cluster:
        proxy = await made(cluster, protocol="mixed")
        await client.use(proxy)
        change = {"json": {"password": "another-password"}, "headers": {"Prefer": "wait=10"}}
        succeeded(await cluster.api.patch(f"/proxies/{proxy['id']}", **change))
        await client.use(await shown(cluster, proxy))
        await cluster.kill("node-1")
        await cluster.start("node-1")
        await client.use(await made(cluster))
        succeeded(await cluster.api.delete(f"/proxies/{proxy['id']}", headers={"Prefer": "wait=10"}))
        node = succeeded(await cluster.api.get("/nodes/1")).json()
        assert node["status"]["state"] == "online"
