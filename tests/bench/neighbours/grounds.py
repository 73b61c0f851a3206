"""Where proxies A and B run in one worker: under an engine of this process, or under a real master and agent."""

import asyncio
import os
import socket
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, MutableMapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import structlog

from node.engine.builtin.engine import BuiltinEngine
from node.engine.builtin.pool.processes import worker_pid
from node.engine.interface import EngineError
from shared.proxies import ProxyId
from tests.bench.engines.contenders import LOCAL, free_port, record
from tests.bench.engines.measuring import Cores, pinned, prefer
from tests.bench.grounds import with_nodes
from tests.cluster.cluster import Cluster, Node, succeeded

HOST = "127.0.0.1"
LOGINS = {"A": ("abused", "pass-word-1"), "B": ("neighbour", "pass-word-2")}
WORDS = ("worker.stuck", "worker.silent", "worker.died")
REFUSED_S = 10.0


@dataclass(frozen=True)
class Proxy:
    id: int
    host: str
    port: int
    username: str
    password: str


class Ground(Protocol):
    """A is removed and made again for every attack."""

    @property
    def b(self) -> Proxy: ...

    async def make_a(self) -> Proxy: ...

    async def remove_a(self) -> None: ...

    async def ask(self) -> None:
        """A question that the worker has to answer."""
        ...

    def stuck(self) -> int:
        """How often the agent has said by now that the worker does not answer, or is dead."""
        ...


@dataclass
class Stuck:
    """Counts what an agent of this process says of its workers; all else that it says is dropped."""

    count: int = 0

    def __post_init__(self) -> None:
        structlog.configure(processors=[self._hear])

    def _hear(self, logger: object, name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if event.get("event") in WORDS:
            self.count += 1
            print(event, file=sys.stderr, flush=True)
        raise structlog.DropEvent


def refuses(proxy: Proxy) -> bool:
    with suppress(OSError), socket.create_connection((proxy.host, proxy.port), 1):
        return False
    return True


async def refused(proxy: Proxy) -> None:
    """Until nobody listens there any more."""
    deadline = time.monotonic() + REFUSED_S
    while time.monotonic() < deadline and not await asyncio.to_thread(refuses, proxy):
        await asyncio.sleep(0.005)


@dataclass
class InEngine:
    engine: BuiltinEngine
    b: Proxy
    heard: Stuck
    a: Proxy | None = None
    _made: int = 1

    async def make_a(self) -> Proxy:
        self._made += 1
        self.a = await started(self.engine, self._made, "A")
        return self.a

    async def remove_a(self) -> None:
        if self.a is not None:
            await self.engine.stop(ProxyId(self.a.id))
            await refused(self.a)

    async def ask(self) -> None:
        await self.engine.stats()

    def stuck(self) -> int:
        return self.heard.count


async def started(engine: BuiltinEngine, id_: int, name: str) -> Proxy:
    proxy = Proxy(id_, HOST, free_port(HOST), *LOGINS[name])
    await engine.start(record(id_, proxy.port, LOGINS[name]))
    return proxy


@asynccontextmanager
async def in_an_engine(cores: Cores, nice: int) -> AsyncGenerator[InEngine]:
    """One worker, on the proxy's core."""
    heard = Stuck()
    with tempfile.TemporaryDirectory(prefix="maybe-bench-") as folder:
        directory = Path(folder) / "engine"
        with pinned(cores.proxy):
            engine = await BuiltinEngine(directory, listen=HOST, workers=1, allow_destinations=LOCAL).__aenter__()
        try:
            pid = worker_pid(directory, 0)
            assert pid
            prefer(pid, nice)
            yield InEngine(engine, await started(engine, 1, "B"), heard)
        finally:
            if heard.count:
                print((directory / "worker-0.log").read_text(errors="replace")[-4000:], file=sys.stderr)
            with suppress(EngineError):
                await engine.halt()
            await engine.__aexit__(None, None, None)


@dataclass
class InCluster:
    cluster: Cluster
    node: Node
    b: Proxy
    a: Proxy | None = None

    async def make_a(self) -> Proxy:
        self.a = await made(self.cluster, "A")
        return self.a

    async def remove_a(self) -> None:
        if self.a is not None:
            succeeded(await self.cluster.api.delete(f"/proxies/{self.a.id}"))
            await refused(self.a)

    async def ask(self) -> None:
        """The node says `running` of B only as long as its worker answers; a change shows whether it obeys."""
        change = {"labels": {"at": str(time.monotonic_ns())}}
        succeeded(await self.cluster.api.patch(f"/proxies/{self.b.id}", json=change, headers={"Prefer": "wait=5"}))

    def stuck(self) -> int:
        log = self.node.agent.log.read_text(errors="replace")
        return sum(log.count(word) for word in WORDS)


async def made(cluster: Cluster, name: str) -> Proxy:
    username, password = LOGINS[name]
    wish = {"location_id": 1, "protocol": "mixed", "username": username, "password": password}
    shown = succeeded(await cluster.api.post("/proxies", json=wish, headers={"Prefer": "wait=10"})).json()
    return Proxy(shown["id"], shown["host"], shown["port"], username, password)


@asynccontextmanager
async def in_a_cluster(cores: Cores, nice: int) -> AsyncGenerator[InCluster]:
    """One node with one worker."""
    os.environ["NODE_WORKERS"] = "1"
    async with with_nodes(1) as cluster:
        (node,) = cluster.nodes.values()
        pid = worker_pid(node.data / "builtin", 0)
        if pid:
            os.sched_setaffinity(pid, cores.proxy)
            prefer(pid, nice)
        yield InCluster(cluster, node, await made(cluster, "B"))
