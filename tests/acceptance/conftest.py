"""A cluster of a master and no, one or two nodes for each test."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.clients.traffic import Client, echo_server
from tests.cluster.cluster import Cluster, cluster, succeeded
from tests.cluster.launched import Launched, launcher
from tests.services.folders import Folder
from tests.services.ports import PortBlock, claim_range
from tests.services.postgres import Database, PostgreSQL
from tests.services.programs import tail
from tests.services.rabbitmq import RabbitMQ, Vhost
from tests.services.sources import Where


@pytest.fixture
async def bare(
    where: Where, postgres: PostgreSQL, rabbitmq: RabbitMQ, database: Database, vhost: Vhost
) -> AsyncIterator[Cluster]:
    """A cluster of one master and no node; services that a test killed are started again after it."""
    folder = Folder(where.folder.private(f"cluster-{secrets.token_hex(4)}"), durable=False)
    async with cluster(replace(where, folder=folder), postgres, rabbitmq, database, vhost) as made:
        yield made
        for name, program in made.programs.items():
            print(f"{name}:\n{tail(program.log, 30)}")  # pytest shows it when the test failed
        for service in (postgres, rabbitmq):
            if not service.program.is_running:
                await service.start()


@pytest.fixture
async def lone(bare: Cluster) -> Cluster:
    """One master, one node, and the location 1 that it is in: a second node takes a second of processor time."""
    succeeded(await bare.api.post("/locations", json={"name": "home"}))
    await bare.node(location_id=1)
    return bare


@pytest.fixture
async def fleet(bare: Cluster) -> Cluster:
    """One master, two nodes, and the location 1 that both are in."""
    succeeded(await bare.api.post("/locations", json={"name": "home"}))
    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(bare.node(location_id=1))
    return bare


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """Sends traffic through proxies to an echo server."""
    async with echo_server() as port:
        client = Client(port)
        yield client
        await client.close()


async def made(fleet: Cluster, **wish: Any) -> dict[str, Any]:
    """A proxy that runs."""
    answer = succeeded(await fleet.api.post("/proxies", json={"location_id": 1, **wish}, headers={"Prefer": "wait=10"}))
    assert (answer.status_code, answer.json()["status"]["state"]) == (201, "running"), answer.text
    return answer.json()


async def shown(fleet: Cluster, proxy: dict[str, Any]) -> dict[str, Any]:
    """The proxy as the API shows it now."""
    return succeeded(await fleet.api.get(f"/proxies/{proxy['id']}")).json()


async def logged(fleet: Cluster, name: str, text: str) -> bool:
    return text in fleet.programs[name].log.read_text()


async def is_in(fleet: Cluster, proxy: dict[str, Any], state: str) -> bool:
    return (await shown(fleet, proxy))["status"]["state"] == state


async def all_proxies(fleet: Cluster) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        page = succeeded(
            await fleet.api.get("/proxies", params={"limit": 100, **({"after": after} if after else {})})
        ).json()
        found += page["items"]
        after = page["next"]
        if after is None:
            return found


async def has_event(fleet: Cluster, type_: str) -> bool:
    return bool(succeeded(await fleet.api.get("/events", params={"type": type_})).json()["items"])


async def widened(fleet: Cluster, size: int) -> PortBlock:
    """The nodes share one range of so many ports, which the caller closes."""
    ports = claim_range(size)
    limits = {"ports": f"{ports.first + 1}-{ports.first + size}"}
    for node in fleet.nodes.values():
        succeeded(await fleet.api.patch(f"/nodes/{node.id}", json={"limits": limits}))
    return ports


async def eventually(ask: Callable[[], Awaitable[object]], within_s: float) -> float:
    """Seconds until `ask` answered something true; an AssertionError within it counts as not yet."""
    began = time.monotonic()
    while True:
        try:
            if await ask():
                return time.monotonic() - began
            last = None
        except AssertionError as error:
            last = error
        if time.monotonic() - began > within_s:
            raise AssertionError(f"not within {within_s} s") from last
        await asyncio.sleep(0.02)


@pytest.fixture
def launched() -> Iterator[Launched]:
    """`./dev up` beside this test's own services; not started yet."""
    with launcher() as made:
        yield made
