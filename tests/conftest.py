"""The services of a test run, started once, and a fresh database and virtual host for each test."""

import asyncio
import secrets
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import hypothesis
import pytest
from xdist.scheduler import LoadFileScheduling

from tests.services.folders import remove, scratch
from tests.services.ports import claim_block
from tests.services.postgres import Database, PostgreSQL
from tests.services.rabbitmq import RabbitMQ, Vhost
from tests.services.sources import Where, find_source

TEMPLATE = "maybe_template"
WEB = "tests/web"

# A deadline for each example would measure how busy the machine is.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")


class SharedFolders(LoadFileScheduling):
    """Files are shared among the processes; the browser tests, which share one browser and one fleet, stay together."""

    def _split_scope(self, nodeid: str) -> str:
        return WEB if nodeid.startswith(f"{WEB}/") else super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    return SharedFolders(config, log) if config.getoption("dist") == "loadfile" else None


@dataclass
class Services:
    """Those that some collected test uses."""

    postgres: PostgreSQL | None = None
    rabbitmq: RabbitMQ | None = None

    async def start(self, where: Where, wanted: set[str]) -> None:
        async with asyncio.TaskGroup() as starting:
            if "postgres" in wanted:
                starting.create_task(self._start_postgres(where))
            if "rabbitmq" in wanted:
                starting.create_task(self._start_rabbitmq(where))

    async def _start_postgres(self, where: Where) -> None:
        self.postgres = await where.postgres()
        await self.postgres.start()

    async def _start_rabbitmq(self, where: Where) -> None:
        self.rabbitmq = await where.rabbitmq()
        await self.rabbitmq.start()

    async def end(self) -> None:
        async with asyncio.TaskGroup() as ending:
            for service in (self.postgres, self.rabbitmq):
                if service:
                    ending.create_task(service.end())


@pytest.fixture(scope="session")
def where(request: pytest.FixtureRequest) -> Iterator[Where]:
    """The folder and ports of this run."""

    def tell(text: str) -> None:
        with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            print(f"\n{text}", file=sys.stderr, flush=True)

    folder, ports = scratch(), claim_block()
    yield Where(find_source(tell), folder, ports, tell)
    ports.close()
    remove(folder)


@pytest.fixture(scope="session")
def services(request: pytest.FixtureRequest, where: Where) -> Iterator[Services]:
    """Both start at the same time, each only when some test of this run wants it."""
    wanted = {name for item in request.session.items if isinstance(item, pytest.Function) for name in item.fixturenames}
    services = Services()
    try:
        asyncio.run(services.start(where, wanted))
        yield services
    finally:
        asyncio.run(services.end())


@pytest.fixture(scope="session")
def postgres(services: Services) -> PostgreSQL:
    assert services.postgres
    return services.postgres


@pytest.fixture(scope="session")
def rabbitmq(services: Services) -> RabbitMQ:
    assert services.rabbitmq
    return services.rabbitmq


@pytest.fixture(scope="session")
def template(postgres: PostgreSQL) -> Iterator[str]:
    """The name of a migrated database that `database` is copied from (60-70 ms, against a migration each)."""
    name = f"{TEMPLATE}_{secrets.token_hex(4)}"
    asyncio.run(migrated(postgres, name))
    yield name
    asyncio.run(postgres.drop(name))


async def migrated(postgres: PostgreSQL, name: str) -> None:
    from master.db.migrations import migrate

    database = await postgres.create(name)
    async with database.connection() as connection:
        await migrate(connection)


@pytest.fixture
async def database(postgres: PostgreSQL, template: str) -> AsyncIterator[Database]:
    """A migrated database of this test's own."""
    name = f"maybe_{secrets.token_hex(6)}"
    yield await postgres.create(name, template=template)
    await postgres.drop(name)


@pytest.fixture
async def vhost(rabbitmq: RabbitMQ) -> AsyncIterator[Vhost]:
    """A RabbitMQ virtual host of this test's own."""
    name = f"maybe-{secrets.token_hex(6)}"
    yield await rabbitmq.create(name)
    await rabbitmq.drop(name)
