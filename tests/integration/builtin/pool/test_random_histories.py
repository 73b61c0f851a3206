"""Clients and origins that behave as badly as they can, and a worker that shrugs."""

import asyncio
import os
import random
import socket
import struct
import time
from base64 import b64encode
from contextlib import suppress
from pathlib import Path

import pytest

from node.engine.builtin.engine import BuiltinEngine
from node.engine.builtin.frames import peer
from node.engine.builtin.pool.processes import connect_worker
from shared.proxies import ProxyRecord

HERE = "127.0.0.1"
LOCAL = ("127.0.0.0/8", "::1")
STORM_S = 3.0
CALM_S = 10.0
LOGIN = b"Proxy-Authorization: Basic " + b64encode(b"alice:wonder") + b"\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
TROUBLE = (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError)


def reset(writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Storm:
    """One seed is one storm, as far as the scheduler lets it be."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)

    async def origin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(*TROUBLE):
            async with asyncio.timeout(2):
                await self.misbehave(reader, writer)
        reset(writer) if self.dice.random() < 0.3 else writer.close()
        asyncio.get_running_loop().call_later(0.5, writer.transport.abort)

    async def misbehave(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        dice = self.dice
        mood = dice.randrange(8)
        if mood == 0:
            return
        if mood == 1:
            await asyncio.sleep(dice.random() / 10)
            return
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(
            {
                2: dice.randbytes(200),
                3: b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * dice.randrange(150_000),
                4: CHUNKED
                + b"5\r\nhello\r\n" * dice.randrange(1000)
                + dice.choice((b"0\r\n\r\n", b"x\r\n", b"0\r\n\r\nmore")),
                5: b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + OK,
                6: b"y" * 3_000_000,
                7: OK,
            }[mood]
        )
        if mood == 7:
            writer.write(head)
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        elif mood != 2:
            await reader.read(dice.choice((10, -1)))

    def request(self, port: int) -> bytes:
        dice, body = self.dice, b"x" * self.dice.randrange(200_000)
        socks = b"\5\1\2\1\5alice\6wonder\5\1\0\1\x7f\0\0\1" + struct.pack("!H", port)
        url = b"http://127.0.0.1:%d/ HTTP/1.1\r\n%b" % (port, LOGIN)
        get = b"GET " + url + b"\r\n"
        chunks = b"5\r\nhello\r\n" * dice.randrange(3000) + dice.choice((b"0\r\n\r\n", b"zz\r\n", b""))
        return dice.choice(
            (
                dice.randbytes(dice.randrange(1, 400)),
                b"\5" + dice.randbytes(dice.randrange(1, 400)),
                b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n%b\r\n" % (port, LOGIN) + get + body,
                socks + get + body,
                get * dice.randrange(1, 300),
                b"POST %bContent-Length: %d\r\n\r\n%b" % (url, len(body) + dice.choice((0, 0, 100)), body) + get,
                b"POST %bTransfer-Encoding: chunked\r\n\r\n%b" % (url, chunks) + get,
            )
        )

    async def client(self, proxy: ProxyRecord, port: int) -> None:
        dice = self.dice
        reader, writer = await asyncio.open_connection(HERE, proxy.port)
        with suppress(*TROUBLE):
            async with asyncio.timeout(dice.choice((0.05, 0.3, 1))):
                writer.write(self.request(port))
                manner = dice.randrange(4)
                if manner == 0:
                    writer.write_eof()
                elif manner == 1:
                    writer.transport.pause_reading()
                    await asyncio.sleep(0.5)
                elif manner == 2:
                    await asyncio.sleep(dice.random() / 50)
                    reset(writer)
                await reader.read(dice.choice((10, 10_000, -1)))
        reset(writer) if dice.random() < 0.5 else writer.close()
        asyncio.get_running_loop().call_later(0.5, writer.transport.abort)


def cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def connections(pid: int) -> int:
    """Sockets and pipes that the process has open; what it writes its counters to is opened when there is something."""
    found = 0
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            found += os.readlink(descriptor).startswith(("socket:", "pipe:"))
    return found


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
async def test_whatever_clients_and_origins_do_nothing_is_left_and_nothing_spins(directory: Path, seed: int) -> None:
    storm = Storm(seed)
    port = random.randint(20000, 29999)
    proxy = ProxyRecord(id=1, version=1, content=1, protocol="mixed", port=port, username="alice", password="wonder")
    async with BuiltinEngine(directory, listen=HERE, allow_destinations=LOCAL, workers=1) as engine:
        await engine.start(proxy)
        connection = connect_worker(directory, 0)
        assert connection is not None
        pid, _ = peer(connection)
        connection.close()
        quiet = connections(pid)
        server = await asyncio.start_server(storm.origin, HERE, 0)
        origin = server.sockets[0].getsockname()[1]
        end = time.monotonic() + STORM_S

        async def customer() -> None:
            while time.monotonic() < end:
                await storm.client(proxy, origin)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(20):
                tasks.create_task(customer())
        async with asyncio.timeout(CALM_S):
            while connections(pid) > quiet:
                await asyncio.sleep(0.1)
        ticks = cpu_ticks(pid)
        await asyncio.sleep(0.5)
        assert cpu_ticks(pid) - ticks <= 3
        assert (await engine.stats())[1]["open"] == 0
        assert "fault" not in (directory / "worker-0.log").read_text()
        server.close()
