"""Two masters behind the balancers of docker/balancer: one is killed under load, and nothing else is noticed."""

import asyncio
import json
import secrets
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.conftest import eventually
from tests.cluster.balancers import API_NAME, KINDS, LINKS_NAME, MASTERS, Addresses, balancer, find
from tests.cluster.cluster import Cluster, cluster, succeeded, until
from tests.services.folders import Folder
from tests.services.ports import API, HOST
from tests.services.postgres import Database, PostgreSQL
from tests.services.rabbitmq import RabbitMQ, Vhost
from tests.services.sources import Where
from tests.tls.authority import Authority

CLIENTS = 6
PACE_S = 0.02
"""Between two rounds of a client: the processor is shared with the masters."""
Event = dict[str, Any]
NAMES = [name if name == "haproxy" else pytest.param(name, marks=pytest.mark.long) for name in KINDS]


@dataclass
class Front:
    """A balancer with two masters behind it: `master` and `master-2`."""

    made: Cluster
    at: Addresses
    context: ssl.SSLContext

    @asynccontextmanager
    async def client(self, name: str = API_NAME, **headers: str) -> AsyncIterator[httpx.AsyncClient]:
        """Calls the balancer at its address by the public name."""
        port = self.at.front_api if name == API_NAME else self.at.front_links

        async def by_name(request: httpx.Request) -> None:
            request.extensions["sni_hostname"] = name

        hooks = {"request": [by_name]}
        host = {"Host": f"{name}:{port}"}
        async with httpx.AsyncClient(
            base_url=f"https://{HOST}:{port}",
            verify=self.context,
            headers={**host, **headers},
            event_hooks=hooks,
            timeout=30,
            trust_env=False,
        ) as client:
            yield client

    async def served(self, who: str) -> float:
        """How many locations a master was asked for since its start."""
        text = (await self.made.clients[who].get("/metrics")).text
        lines = [line for line in text.splitlines() if line.startswith("maybe_api_requests_total{")]
        return sum(float(line.rpartition(" ")[2]) for line in lines if 'route="/locations' in line)


@pytest.fixture(params=NAMES)
async def front(
    request: pytest.FixtureRequest,
    where: Where,
    postgres: PostgreSQL,
    rabbitmq: RabbitMQ,
    database: Database,
    vhost: Vhost,
    tmp_path: Path,
) -> AsyncIterator[Front]:
    if find(KINDS[request.param]) is None:
        pytest.skip(f"{request.param} is not installed")
    ports = where.ports
    at = Addresses(ports.port(API), *(ports.port(offset) for offset in (90, 91, 92)))
    folder = Folder(where.folder.private(f"cluster-{secrets.token_hex(4)}"), durable=False)
    settings = {
        "LINKS_PORT": str(at.links),
        "API_HOSTS": API_NAME,
        "PUBLIC_URL": f"https://{LINKS_NAME}:{at.front_links}",
    }
    authority = Authority()
    program = balancer(request.param, tmp_path, authority, at)
    async with cluster(replace(where, folder=folder), postgres, rabbitmq, database, vhost, **settings) as made:
        await made.master(MASTERS[1])
        await program.start()
        front = Front(made, at, ssl.create_default_context(cadata=authority.pem))
        try:
            await until(lambda: answers(front), f"{request.param} to serve", program, limit_s=20)
            yield front
        finally:
            await program.kill()
            print(program.log.read_text()[-3000:])


async def answers(front: Front) -> bool:
    with suppress(httpx.TransportError):
        async with front.client() as client:
            return (await client.get("/health/ready")).status_code == 200
    return False


@dataclass
class Load:
    """Clients that write and read through the balancer, one request after the other."""

    front: Front
    count: int = 0
    failures: list[tuple[float, float, str]] = field(default_factory=list[tuple[float, float, str]])
    """(began, ended, what) of each request that failed."""
    created: set[str] = field(default_factory=set[str])
    over: bool = False

    async def run(self) -> None:
        async with self.front.client() as client:
            while not self.over:
                await self.ask(client, "GET", "/locations?limit=1")
                name = f"l-{secrets.token_hex(6)}"
                answer = await self.ask(client, "POST", "/locations", json={"name": name})
                if answer is not None and answer.status_code == 201:
                    self.created.add(name)
                await asyncio.sleep(PACE_S)

    async def ask(self, client: httpx.AsyncClient, method: str, path: str, **more: Any) -> httpx.Response | None:
        began = time.monotonic()
        self.count += 1
        try:
            answer = await client.request(method, path, **more)
        except httpx.TransportError as error:
            self.failures.append((began, time.monotonic(), f"{method}: {error!r}"))
            return None
        if answer.is_error:
            self.failures.append((began, time.monotonic(), f"{method}: {answer.status_code} {answer.text[:200]}"))
        return answer

    async def more(self, count: int) -> None:
        goal = self.count + count

        async def reached() -> bool:
            return self.count >= goal

        await eventually(reached, 60)


@asynccontextmanager
async def load(front: Front) -> AsyncIterator[Load]:
    made = Load(front)
    async with asyncio.TaskGroup() as group:
        for _ in range(CLIENTS):
            group.create_task(made.run())
        yield made
        made.over = True


async def test_a_balancer_passes_on_names_origins_streams_and_links_and_nobody_notices_a_master_that_dies(
    front: Front,
):
    await browsers_are_checked(front)
    await links_are_served_alone(front)
    async with front.client() as client, followed(client) as stream:
        await a_killed_master_costs_only_what_was_in_flight(front)
        await a_stopped_master_costs_nothing(front)
        last = succeeded(await client.post("/locations", json={"name": "the last one"})).json()
        await stream.sees(last["id"])


async def browsers_are_checked(front: Front) -> None:
    origin = f"https://{API_NAME}:{front.at.front_api}"
    async with front.client(Origin=origin) as own, front.client(Origin="https://evil.example") as foreign:
        assert (await own.post("/locations", json={"name": "by the page"})).status_code == 201
        assert (await foreign.post("/locations", json={"name": "by another page"})).status_code == 403
        wrong = await own.get("/nodes", headers={"Host": "rebound.example"})
        assert wrong.status_code == 421 or "x-request-id" not in wrong.headers  # the balancer itself answered


async def links_are_served_alone(front: Front) -> None:
    async with front.client() as client, front.client(LINKS_NAME) as customer:
        body = {"kind": "list", "filter": {"state": "running"}, "format": "url"}
        url = succeeded(await client.post("/links", json=body)).json()["url"]
        assert url.startswith(f"https://{LINKS_NAME}:{front.at.front_links}/l/")
        assert (await customer.get(httpx.URL(url).path)).status_code == 200
        assert (await customer.get("/nodes")).status_code == 404


async def a_killed_master_costs_only_what_was_in_flight(front: Front) -> None:
    async with load(front) as made:
        await made.more(60)
        await front.made.kill("master-2")
        ended_at = time.monotonic()
        await made.more(120)
        after = [failure for failure in made.failures if failure[0] > ended_at]
        assert after == []
        assert len(made.failures) <= CLIENTS
        made.failures.clear()
        await front.made.start("master-2")

        async def serves_again() -> bool:
            return await front.served("master-2") > 0

        await eventually(serves_again, 20)
        assert made.failures == []
    found = await all_names(front)
    assert made.created <= found


async def a_stopped_master_costs_nothing(front: Front) -> None:
    async with load(front) as made:
        await made.more(60)
        await front.made.stop("master")
        await made.more(60)
    assert made.failures == []


async def all_names(front: Front) -> set[str]:
    async with front.made.database.connection() as rows:
        return {row["name"] for row in await rows.fetch("SELECT name FROM locations")}


@dataclass
class Stream:
    """The event stream, as a client reads it that asks again from its last event when the stream ends."""

    client: httpx.AsyncClient
    last: str | None = None
    seen: list[Event] = field(default_factory=list[Event])
    opened: int = 0

    async def run(self) -> None:
        while True:
            with suppress(httpx.TransportError):
                await self._read()
            await asyncio.sleep(0.1)

    async def _read(self) -> None:
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": self.last} if self.last else {})
        async with self.client.stream("GET", "/events", headers=headers) as answer:
            self.opened += answer.status_code == 200
            async for line in answer.aiter_lines():
                if line.startswith("data: ") and "location_id" in line:
                    self.seen.append(json.loads(line[6:]))
                    self.last = str(self.seen[-1]["id"])

    async def sees(self, location_id: int) -> None:
        async def is_seen() -> bool:
            return any(event["location_id"] == location_id for event in self.seen)

        await eventually(is_seen, 10)


@asynccontextmanager
async def followed(client: httpx.AsyncClient) -> AsyncIterator[Stream]:
    """A stream through the balancer. Every event of the log comes through it once, in order."""
    stream = Stream(client)

    async def is_open() -> bool:
        return stream.opened > 0

    async with asyncio.TaskGroup() as group:
        reading = group.create_task(stream.run())
        await eventually(is_open, 10)
        yield stream
        reading.cancel()
    ids = [event["id"] for event in stream.seen]
    logged = succeeded(await client.get("/events", params={"after": ids[0] - 1, "limit": 1000})).json()["items"]
    assert ids == [event["id"] for event in logged if event["id"] <= ids[-1]]
