"""Where a benchmark of the whole takes place."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from tests.cluster.cluster import Cluster, cluster, succeeded
from tests.services.folders import remove, scratch
from tests.services.ports import claim_block
from tests.services.sources import Where, find_source


@asynccontextmanager
async def with_nodes(count: int) -> AsyncGenerator[Cluster]:
    """A cluster of its own, with services of its own: one master, and so many nodes at location 1."""
    folder = scratch()
    with claim_block().held() as ports:
        where = Where(find_source(print), folder, ports, print)
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
    remove(folder)


def two_nodes() -> AbstractAsyncContextManager[Cluster]:
    return with_nodes(2)
