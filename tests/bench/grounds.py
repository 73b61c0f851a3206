"""Where a benchmark takes place: services of its own, a migrated database, a master in a process of its own."""

import asyncio
import logging
import multiprocessing
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import structlog

from master.db.migrations import migrate
from tests.cluster.cluster import Cluster, cluster, succeeded
from tests.master.api_servers import master
from tests.services.folders import remove, scratch
from tests.services.ports import claim_block
from tests.services.postgres import Database, PostgreSQL
from tests.services.sources import Where, find_source

START_S = 60


@asynccontextmanager
async def with_place() -> AsyncGenerator[Where]:
    """A folder and ports, for services that the benchmark starts."""
    folder = scratch()
    try:
        with claim_block().held() as ports:
            yield Where(find_source(print), folder, ports, print)
    finally:
        remove(folder)


@asynccontextmanager
async def with_postgres() -> AsyncGenerator[PostgreSQL]:
    async with with_place() as where:
        postgres = await where.postgres()
        try:
            await postgres.start()
            yield postgres
        finally:
            await postgres.end()


@asynccontextmanager
async def with_database() -> AsyncGenerator[Database]:
    """A migrated database."""
    async with with_postgres() as postgres:
        database = await postgres.create("bench")
        async with database.connection() as rows:
            await migrate(rows)
        yield database


@asynccontextmanager
async def with_master(database: Database) -> AsyncGenerator[tuple[str, int]]:
    """The address and the process id of a master over this database."""
    context = multiprocessing.get_context("spawn")
    answers: multiprocessing.Queue[str] = context.Queue()
    process = context.Process(target=serve, args=(database, answers), daemon=True)
    process.start()
    try:
        url = await asyncio.to_thread(answers.get, True, START_S)
        assert process.pid
        yield url.rstrip("/"), process.pid
    finally:
        process.kill()
        process.join()


def serve(database: Database, answers: "multiprocessing.Queue[str]") -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    asyncio.run(serving(database, answers))


async def serving(database: Database, answers: "multiprocessing.Queue[str]") -> None:
    async with master(database) as one:
        answers.put(str(one.http.base_url))
        await asyncio.Event().wait()


@asynccontextmanager
async def with_nodes(count: int) -> AsyncGenerator[Cluster]:
    """A cluster of its own: one master, and so many nodes at location 1."""
    async with with_place() as where:
        postgres, rabbitmq = await where.postgres(), await where.rabbitmq()
        try:
            await postgres.start()
            await rabbitmq.start()
            database, vhost = await postgres.create("bench"), await rabbitmq.create("bench")
            async with cluster(where, postgres, rabbitmq, database, vhost) as made:
                succeeded(await made.api.post("/locations", json={"name": "bench"}))
                for _ in range(count):
                    await made.node(location_id=1)
                yield made
        finally:
            await postgres.end()
            await rabbitmq.end()


def two_nodes() -> AbstractAsyncContextManager[Cluster]:
    return with_nodes(2)
