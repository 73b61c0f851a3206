"""HTTP through the built-in engine: requests and their connections, on either side."""

import asyncio
import os
import signal
import socket
from pathlib import Path

import httpx
import pytest

from node.engine.builtin.engine import BuiltinEngine
from tests.clients.http_requests import OK, PASSED_ON, get, scripted
from tests.clients.streams import (
    HERE,
    LOGIN,
    Answer,
    dialled,
    echo,
    echoes,
    free_port,
    head_of,
    record,
    said,
    serving,
    until,
)
from tests.engines.workers import worker_pid


async def test_several_requests_share_both_connections(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record())
    answer, heard = scripted(OK, OK, OK)
    peers: set[object] = set()

    async def counted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peers.add(writer.get_extra_info("peername"))
        await answer(reader, writer)

    async with serving(counted) as port, dialled(proxy.port) as (reader, writer):
        for path in ("/1", "/2", "/3"):
            writer.write(get(port, path).encode())
            assert await head_of(reader) == PASSED_ON[:-2]
            assert await reader.readexactly(2) == b"ok"
    assert [head.split()[1] for head in heard] == [b"/1", b"/2", b"/3"]
    assert b"wonder" not in b"".join(heard)
    assert b"Proxy-" not in b"".join(heard)
    assert len(peers) == 1


def at_once(pid: int, *pieces: bytes) -> Answer:
    """An origin whose answer and end have both come before the worker looks."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        os.kill(pid, signal.SIGSTOP)
        with writer.get_extra_info("socket").dup() as sock:
            for piece in pieces:
                sock.send(piece)
            sock.shutdown(socket.SHUT_WR)
        os.kill(pid, signal.SIGCONT)
        await reader.read()

    return answer


@pytest.mark.parametrize("start", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-", b"no", b""])
async def test_an_origin_that_ends_in_the_middle_is_noticed_at_once(
    engine: BuiltinEngine, directory: Path, start: bytes
) -> None:
    await engine.start(proxy := record())
    async with serving(at_once(worker_pid(directory), start)) as port, dialled(proxy.port) as (reader, writer):
        data = await said(reader, writer, get(port, "/", "Connection: close"))
    assert b" 502 " in data


async def test_a_connection_that_an_origin_ends_with_its_answer_is_not_kept(
    engine: BuiltinEngine, directory: Path
) -> None:
    await engine.start(proxy := record())
    pid = worker_pid(directory)
    quiet = len(os.listdir(f"/proc/{pid}/fd"))

    async def client_alone() -> bool:
        return len(os.listdir(f"/proc/{pid}/fd")) == quiet + 1

    async with serving(at_once(pid, OK)) as port, dialled(proxy.port) as (reader, writer):
        writer.write(get(port).encode())
        assert await head_of(reader) == PASSED_ON[:-2]
        await until(client_alone)


async def test_pipelined_requests_to_several_origins_are_answered_in_order(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record())
    answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number for number in range(6)]
    one, _ = scripted(*answers[0::2])
    two, _ = scripted(*answers[1::2])
    async with serving(one) as first, serving(two) as second, dialled(proxy.port) as (reader, writer):
        requests = (
            "".join(get(first) + get(second) for _ in range(2)) + get(first) + get(second, "/", "Connection: close")
        )
        data = await said(reader, writer, requests)
    assert [part[:1] for part in data.split(b"\r\n\r\n")[1:]] == [b"%d" % number for number in range(6)]


async def test_an_origin_that_gave_up_the_kept_connection_is_asked_again(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record())

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        writer.write(OK)
        await writer.drain()
        await reader.readuntil(b"\r\n")

    async with serving(once) as port, dialled(proxy.port) as (reader, writer):
        for _ in range(3):
            writer.write(get(port).encode())
            assert await reader.readexactly(len(PASSED_ON)) == PASSED_ON


async def test_an_agreed_upgrade_becomes_a_tunnel(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record())

    async def switching(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello")
        await echo(reader, writer)

    async with serving(switching) as port, dialled(proxy.port) as (reader, writer):
        writer.write(get(port, "/", "Connection: upgrade", "Upgrade: echo").encode())
        assert b"101 Switching" in await head_of(reader)
        assert await reader.readexactly(5) == b"hello"
        assert await echoes((reader, writer))


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        ("GET / HTTP/1.1\r\n{login}\r\n\r\n", 400),
        ("GET http://h/ HTTP/1.1\n\n", 400),
        ("POST http://h/ HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        ("GET http://h/ HTTP/1.1\r\nA: b\r\n c\r\n\r\n", 400),
        ("GET http://h/ HTTP/1.1\r\nA: " + "a" * 70000 + "\r\n\r\n", 431),
        ("GET http://h/ HTTP/1.1\r\nConnection: close\r\n\r\n", 407),
        ("GET http://127.0.0.1:{closed}/ HTTP/1.1\r\n{login}\r\nConnection: close\r\n\r\n", 502),
        ("GET http://no-such-name.invalid/ HTTP/1.1\r\n{login}\r\nConnection: close\r\n\r\n", 502),
        ("CONNECT 127.0.0.1:{closed} HTTP/1.0\r\n{login}\r\n\r\n", 502),
        ("CONNECT 127.0.0.1 HTTP/1.1\r\n{login}\r\n\r\n", 400),
    ],
)
async def test_what_cannot_be_served_is_answered_with_its_status(
    engine: BuiltinEngine, request_text: str, status: int
) -> None:
    await engine.start(proxy := record(protocol="http"))
    request = request_text.replace("{login}", LOGIN).replace("{closed}", str(free_port()))
    async with dialled(proxy.port) as (reader, writer):
        assert (await said(reader, writer, request)).startswith(b"HTTP/1.1 %d " % status)


async def test_a_second_try_with_the_right_password_needs_no_new_connection(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record())
    async with serving(echo) as port, dialled(proxy.port) as (reader, writer):
        for login in ("", "Proxy-Authorization: Basic Z3Vlc3M6Z3Vlc3M=\r\n"):
            writer.write(f"CONNECT {HERE}:{port} HTTP/1.1\r\n{login}\r\n".encode())
            head = await head_of(reader)
            assert head.startswith(b"HTTP/1.1 407 ")
            assert b'Proxy-Authenticate: Basic realm="proxy"\r\n' in head
            await reader.readline()
        writer.write(f"CONNECT {HERE}:{port} HTTP/1.1\r\n{LOGIN}\r\n\r\n".encode())
        assert (await head_of(reader)).startswith(b"HTTP/1.1 200 ")
        assert await echoes((reader, writer))


async def test_a_real_http_client_works_over_both_protocols(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record())

    async def page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await head_of(reader)
            writer.write(OK)

    async with serving(page) as port:
        for scheme in ("http", "socks5"):
            url = f"{scheme}://alice:wonder@{HERE}:{proxy.port}"
            async with httpx.AsyncClient(proxy=url, trust_env=False) as client:
                answers = [await client.get(f"http://{HERE}:{port}/{number}") for number in range(3)]
            assert [answer.text for answer in answers] == ["ok"] * 3
