"""How long a handover makes connections wait, and what it loses: nothing, or this says so.

    ./dev python -m tests.bench.handover [--listeners 1000] [--relays 4500] [--times 3]

Everything is on this machine: one worker, an origin that echoes, and a client that keeps every relay busy with numbered
blocks and dials new ones all the while. `pause` is the longest gap between a block's going out and its coming back.
"""

import argparse
import asyncio
import os
import random
import resource
import socket
import statistics
import struct
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from node.engine.builtin.engine import BuiltinEngine
from shared.proxies import ProxyRecord
from tests.clients.streams import HERE, LOCAL, LOGIN

BLOCK = 64
READY_S = 60.0
GREETING = f"\r\n{LOGIN}\r\n\r\n"


@dataclass
class Relay(asyncio.Protocol):
    """A client's connection through a proxy: sends a numbered block, waits until it is back, sends the next."""

    number: int
    port: int
    loss: "Loss"
    echoes: int = 0
    slowest_s: float = 0.0
    ready: bool = False
    running: bool = True
    transport: asyncio.Transport = field(init=False)
    _head: bytes = b""
    _got: bytes = b""
    _sent_at: float = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(f"CONNECT {HERE}:{self.port} HTTP/1.1{GREETING}".encode())

    def data_received(self, data: bytes) -> None:
        if not self.ready:
            self._head += data
            if b"\r\n\r\n" not in self._head:
                return
            self.ready = True
            self.loss.refused += not self._head.startswith(b"HTTP/1.1 200")
            self.send()
            return
        self._got += data
        if len(self._got) >= BLOCK:
            self.slowest_s = max(self.slowest_s, time.monotonic() - self._sent_at)
            self.loss.wrong += self._got != self.block()
            self._got = b""
            self.echoes += 1
            if self.running:
                asyncio.get_running_loop().call_later(random.uniform(1.0, 3.0), self.send)

    def connection_lost(self, exc: Exception | None) -> None:
        self.loss.connections += self.running

    def block(self) -> bytes:
        return struct.pack("!II", self.number, self.echoes) * (BLOCK // 8)

    def send(self) -> None:
        if self.running and not self.transport.is_closing():
            self._sent_at = time.monotonic()
            self.transport.write(self.block())


@dataclass
class Loss:
    """Connections that ended, blocks that came back as something else, connects that failed, and refusals."""

    connections: int = 0
    wrong: int = 0
    connects: int = 0
    refused: int = 0


@dataclass(frozen=True)
class Figures:
    """Of one handover; times in seconds. `worker_s` is the longest pause as the workers know it."""

    took_s: float
    worker_s: float
    client_s: float
    quiet_s: float
    connects: int


class Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        assert isinstance(self.transport, asyncio.Transport)
        self.transport.write(data)


class Traffic:
    """All relays, and a dialler that makes short ones all the while."""

    def __init__(self, proxies: Sequence[ProxyRecord], origin: int) -> None:
        self.loss = Loss()
        self.connects = 0
        self._proxies, self._origin = proxies, origin
        self.relays: list[Relay] = []
        self._done = False

    async def open(self, count: int) -> None:
        for number in range(count):
            self.relays.append(await self._dial(number))
        async with asyncio.timeout(READY_S):
            while not all(relay.echoes for relay in self.relays):
                await asyncio.sleep(0.05)

    async def keep_dialling(self) -> None:
        while not self._done:
            try:
                relay = await self._dial(random.getrandbits(31))
                async with asyncio.timeout(READY_S):
                    while not relay.echoes and not relay.transport.is_closing():
                        await asyncio.sleep(0.002)
            except (OSError, TimeoutError):
                self.loss.connects += 1
                continue
            self.connects += 1
            relay.running = False
            relay.transport.close()

    def slowest_s(self) -> float:
        """Since this was asked last."""
        slowest = max(relay.slowest_s for relay in self.relays)
        for relay in self.relays:
            relay.slowest_s = 0.0
        return slowest

    def close(self) -> None:
        self._done = True
        for relay in self.relays:
            relay.running = False
            relay.transport.close()

    async def _dial(self, number: int) -> Relay:
        proxy = self._proxies[number % len(self._proxies)]
        loop = asyncio.get_running_loop()
        _, relay = await loop.create_connection(lambda: Relay(number, self._origin, self.loss), HERE, proxy.port)
        return relay


async def measure(
    engine: BuiltinEngine, listeners: int, relays: int, times: int, *, quiet_s: float = 2.0
) -> tuple[list[Figures], Loss]:
    """Relieves the engine's worker so many times under traffic, which is watched for `quiet_s` before and after."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    proxies = [proxy_at(id_, port) for id_, port in enumerate(free_ports(listeners), 1)]
    for proxy in proxies:
        await engine.start(proxy)
    server = await asyncio.get_running_loop().create_server(Echo, HERE, 0, backlog=4096)
    traffic = Traffic(proxies, server.sockets[0].getsockname()[1])
    figures: list[Figures] = []
    async with asyncio.TaskGroup() as tasks:
        await traffic.open(relays)
        tasks.create_task(traffic.keep_dialling())
        for _ in range(times):
            figures.append(await one_handover(engine, traffic, quiet_s))
        traffic.close()
    server.close()
    return figures, traffic.loss


async def one_handover(engine: BuiltinEngine, traffic: Traffic, quiet: float) -> Figures:
    traffic.slowest_s()
    await asyncio.sleep(quiet)
    quiet_s, connects, began = traffic.slowest_s(), traffic.connects, time.monotonic()
    (moved,) = await engine.upgrade()
    took_s = time.monotonic() - began
    await asyncio.sleep(quiet)
    return Figures(took_s, moved.longest_pause_s, traffic.slowest_s(), quiet_s, traffic.connects - connects)


def proxy_at(id_: int, port: int) -> ProxyRecord:
    fields = {"id": id_, "version": 1, "content": 1, "protocol": "mixed", "username": "alice", "password": "wonder"}
    return ProxyRecord.model_validate(fields | {"port": port})


def free_ports(count: int) -> list[int]:
    """Below the range of outgoing connections."""
    found: list[int] = []
    for port in random.sample(range(10000, 20000), 10000):
        with socket.socket() as probe, suppress(OSError):
            probe.bind((HERE, port))
            found.append(port)
        if len(found) == count:
            break
    return found


async def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    for name, default in (("listeners", 1000), ("relays", 4500), ("times", 3)):
        arguments.add_argument(f"--{name}", type=int, default=default)
    wanted = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        async with BuiltinEngine(Path(folder) / "engine", listen=HERE, allow_destinations=LOCAL, workers=1) as engine:
            try:
                figures, loss = await measure(engine, wanted.listeners, wanted.relays, wanted.times)
            finally:
                await engine.halt()
    for each in figures:
        pauses = f"{each.worker_s * 1000:.0f} ms (workers), {each.client_s * 1000:.0f} ms (clients)"
        print(
            f"took {each.took_s * 1000:.0f} ms, {each.connects} new connects, longest pause {pauses}; "
            f"clients without a handover: {each.quiet_s * 1000:.0f} ms"
        )
    print(f"median of longest pauses: {statistics.median(each.worker_s for each in figures) * 1000:.0f} ms (workers)")
    print(
        f"lost connections {loss.connections}, wrong blocks {loss.wrong}, failed connects {loss.connects}, "
        f"refused {loss.refused} on {os.cpu_count()} cores"
    )


if __name__ == "__main__":
    asyncio.run(main())
