"""Proxies of the built-in engine with limits, and clients that use them up."""

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

from node.engine.builtin.engine import BuiltinEngine
from node.engine.builtin.frames import peer
from node.engine.builtin.pool.processes import connect_worker
from node.engine.interface import EngineError
from shared.proxies import ProxyRecord
from tests.clients.streams import HERE, LOCAL, LOGIN, Streams, dialled, until
from tests.engines.workers import worker_pid

BUFFER = 262_144
MEGABYTE = 1_000_000


def opened(directory: Path, *, workers: int = 1) -> BuiltinEngine:
    return BuiltinEngine(directory, listen=HERE, workers=workers, allow_destinations=LOCAL)


def kill_worker(directory: Path, index: int = 0) -> int:
    """Kill a worker, and return its pid."""
    pid = worker_pid(directory, index)
    os.kill(pid, signal.SIGKILL)
    return pid


def limited(proxy: ProxyRecord, **limits: Any) -> ProxyRecord:
    """The next version of the proxy, with these limits."""
    told = proxy.model_dump() | {"version": proxy.version + 1, "limits": limits}
    return ProxyRecord.model_validate(told)


async def answer_to_connect(proxy: ProxyRecord, port: int) -> bytes:
    async with dialled(proxy.port) as (reader, writer):
        writer.write(f"CONNECT {HERE}:{port} HTTP/1.1\r\n{LOGIN}\r\n\r\n".encode())
        writer.write_eof()
        return await reader.read()


async def is_closed(streams: Streams) -> bool:
    """Whether the connection is closed within a second."""
    with suppress(ConnectionError):
        async with asyncio.timeout(1):
            while await streams[0].read(BUFFER):
                pass
    return True


async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send and receive as long as the connection is open."""

    async def drink() -> None:
        with suppress(ConnectionError):
            while await reader.read(BUFFER):
                pass

    async with asyncio.TaskGroup() as tasks:
        drinking = tasks.create_task(drink())
        with suppress(ConnectionError):
            while not drinking.done():
                writer.write(bytes(65536))
                await writer.drain()
        drinking.cancel()


async def pour(writer: asyncio.StreamWriter) -> None:
    """Send as long as the connection is open."""
    with suppress(ConnectionError):
        while True:
            writer.write(bytes(65536))
            await writer.drain()


async def taken_in(reader: asyncio.StreamReader, seconds: float) -> int:
    """Count the bytes received within this time, or until the end."""
    count = 0
    with suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(seconds):
            while data := await reader.read(BUFFER):
                count += len(data)
    return count


async def counted(engine: BuiltinEngine, id_: int) -> tuple[int, int, int]:
    """(received, sent, connections) of all lives together."""
    lives = [each for each in await engine.usage() if each.id == id_]
    return (
        sum(each.received_bytes for each in lives),
        sum(each.sent_bytes for each in lives),
        sum(each.connections for each in lives),
    )


async def refusals(engine: BuiltinEngine, id_: int) -> dict[str, int]:
    return {reason: n for each in await engine.usage() if each.id == id_ for reason, n in each.refused.items()}


async def until_reborn(engine: BuiltinEngine, directory: Path, proxy: ProxyRecord, killed: int) -> None:
    """Wait until the proxy runs in another process. The engine puts it back; after several deaths in a row its agent
    does."""

    async def reborn() -> bool:
        connection = connect_worker(directory, 0)
        if connection is None:
            return False
        with connection:
            if peer(connection)[0] == killed:
                return False
        if proxy.id not in await engine.running():
            with suppress(EngineError):
                await engine.start(proxy)
        return proxy.id in await engine.running()

    await until(reborn)
