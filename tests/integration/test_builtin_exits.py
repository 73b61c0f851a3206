"""Exits of the built-in engine, in a network namespace to which a /64 and some addresses are routed."""

import asyncio
import base64
import os
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path
from typing import Any

import pytest

from node.engine import EngineError
from node.engine.builtin import BuiltinEngine
from node.exit_look import exit_findings
from shared.permutation import Drawn, Permutation
from shared.proxies import Exit, ProxyRecord
from tests.datagrams import association, datagrams, headed
from tests.networks import CLONE_NEWNET, call, raise_loopback, require, unshared
from tests.streams import LOCAL

PREFIX, KEY = "2001:db8:77:1::/64", bytes(range(16))
V4_EXIT, V6_EXIT = "198.51.100.7", "2001:db8:77:2::7"
RANDOM = {"mode": "ipv6_random", "prefix": PREFIX, "key": KEY.hex()}
SESSION = RANDOM | {"mode": "ipv6_session", "session_ttl_s": 1}
LIMIT_S = 20.0
PORT = 20001

Answer = tuple[bytes, str]
"""What the proxy said, and where the destination saw the connection come from."""


@pytest.fixture
def routed() -> Iterator[None]:
    """This thread's network is one of its own; programs started meanwhile are in there too."""
    require("ip")
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    inside = unshared("net", CLONE_NEWNET)
    call("setns", inside, CLONE_NEWNET)
    raise_loopback()
    for route in (["-6", PREFIX], ["-6", f"{V6_EXIT}/128"], ["-4", f"{V4_EXIT}/32"]):
        subprocess.run(["ip", route[0], "route", "add", "local", route[1], "dev", "lo"], check=True)
    yield
    call("setns", own, CLONE_NEWNET)
    os.close(inside)
    os.close(own)


@pytest.fixture
async def engine(routed: None, tmp_path: Path) -> AsyncIterator[BuiltinEngine]:
    async with BuiltinEngine(tmp_path / "engine", listen="127.0.0.1", workers=1, allow_destinations=LOCAL) as opened:
        yield opened
        await opened.halt()


def record(exit_: dict[str, Any], id_: int = 1, **changes: Any) -> ProxyRecord:
    fields = {"id": id_, "version": 1, "content": 7, "protocol": "mixed", "username": "alice", "password": "wonder"}
    return ProxyRecord.model_validate(fields | {"port": PORT + id_, "exit": exit_} | changes)


@asynccontextmanager
async def telling() -> AsyncIterator[int]:
    """A destination of both families that tells each caller where it seems to come from, and then waits."""

    async def tell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            writer.write(f"{writer.get_extra_info('peername')[0]}\n".encode())
            await reader.read()
        writer.close()

    server = await asyncio.start_server(tell, None, 0, family=socket.AF_INET6, backlog=4096)
    port = server.sockets[0].getsockname()[1]
    async with server, await asyncio.start_server(tell, "0.0.0.0", port, backlog=4096):
        yield port


@asynccontextmanager
async def asked(proxy: ProxyRecord, host: str, port: int, user: str = "alice") -> AsyncIterator[str]:
    """Where the destination sees the connection come from, while it is open; what the proxy said if it failed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    login = bytes((1, len(user))) + user.encode() + b"\6wonder"
    name = bytes((5, 1, 0, 3, len(host))) + host.encode() + struct.pack("!H", port)
    try:
        async with asyncio.timeout(LIMIT_S):
            writer.write(b"\5\1\2" + login + name)
            assert await reader.readexactly(4) == b"\5\2\1\0"
            code = (await reader.readexactly(10))[1]
            yield (await reader.readline()).decode().strip() if code == 0 else f"code {code}"
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def seen(proxy: ProxyRecord, port: int, *, host: str = "::1", user: str = "alice") -> str:
    async with asked(proxy, host, port, user) as source:
        return source


def decoded(address: str) -> Drawn | None:
    return Permutation(PREFIX, KEY).drawn(int(IPv6Address(address)))


async def test_connections_leave_by_the_fixed_address_and_only_to_its_family(engine: BuiltinEngine) -> None:
    await engine.start(four := record({"mode": "address", "address": V4_EXIT}, 1))
    await engine.start(six := record({"mode": "address", "address": V6_EXIT}, 2))
    async with telling() as port:
        assert await seen(four, port, host="127.0.0.1") == V4_EXIT
        assert await seen(six, port) == V6_EXIT
        assert await seen(four, port) == "code 4"
        assert await seen(six, port, host="127.0.0.1") == "code 4"
        assert await seen(four, port, host="localhost") == V4_EXIT


async def test_a_fixed_address_that_this_host_does_not_have_is_a_failure_that_says_so(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record({"mode": "address", "address": "203.0.113.9"}))
    async with telling() as port:
        assert await seen(proxy, port, host="127.0.0.1") == "code 1"
        said = await http(proxy, f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n")
    assert said.startswith(b"HTTP/1.1 502 ")
    assert b"exit address" in said


async def http(proxy: ProxyRecord, head: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    login = "Proxy-Authorization: Basic YWxpY2U6d29uZGVy\r\nConnection: close\r\n\r\n"
    writer.write((head + login).encode())
    async with asyncio.timeout(LIMIT_S):
        answer = await reader.read()
    writer.close()
    return answer


async def test_a_random_exit_never_falls_back_to_the_hosts_own_ipv4(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record(RANDOM))
    async with telling() as port:
        assert await seen(proxy, port, host="127.0.0.1") == "code 4"
        said = await http(proxy, f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n")
    assert said.startswith(b"HTTP/1.1 502 ")
    assert b"no address of the family" in said


async def connections(proxy: ProxyRecord, port: int, count: int) -> list[str]:
    """Where that many connections came from, up to 50 at once."""
    found: list[str] = []
    left = iter(range(count))

    async def some() -> None:
        for _ in left:
            found.append(await seen(proxy, port))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(50):
            tasks.create_task(some())
    return found


@pytest.mark.parametrize("count", [2000, pytest.param(100_000, marks=pytest.mark.long)])
async def test_every_connection_has_an_address_of_its_own_that_decodes_to_its_proxy(
    engine: BuiltinEngine, count: int
) -> None:
    proxies = [record(RANDOM, id_) for id_ in (5, 6)]
    for proxy in proxies:
        await engine.start(proxy)
    async with telling() as port:
        found = {proxy.id: await connections(proxy, port, count // 2) for proxy in proxies}
    assert len({address for addresses in found.values() for address in addresses}) == count
    for id_, addresses in found.items():
        assert all(IPv6Address(each) in IPv6Network(PREFIX) for each in addresses)
        assert {number.proxy for each in addresses if (number := decoded(each))} == {id_}


async def test_a_killed_worker_and_its_successor_draw_no_address_twice(engine: BuiltinEngine, tmp_path: Path) -> None:
    await engine.start(proxy := record(RANDOM))
    async with telling() as port:
        before = [await seen(proxy, port) for _ in range(20)]
        await engine.halt()
        async with BuiltinEngine(
            tmp_path / "engine", listen="127.0.0.1", workers=1, allow_destinations=LOCAL
        ) as successor:
            await successor.start(proxy)
            after = [await seen(proxy, port) for _ in range(20)]
    assert len({*before, *after}) == 40


async def test_a_session_keeps_its_address_until_its_time_after_the_last_connection_is_over(
    engine: BuiltinEngine,
) -> None:
    await engine.start(proxy := record(SESSION))
    async with telling() as port:
        async with asked(proxy, "::1", port, "alice-session-a1") as first:
            assert IPv6Address(first) in IPv6Network(PREFIX)
            await asyncio.sleep(1.2)
            assert await seen(proxy, port, user="alice-session-a1") == first
            assert await seen(proxy, port, user="alice-session-b2") != first
            assert await seen(proxy, port) != first

        async def changed() -> bool:
            await asyncio.sleep(1.1)
            return await seen(proxy, port, user="alice-session-a1") != first

        await until(changed)


async def test_a_session_in_use_keeps_its_address_when_another_process_takes_over(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record(SESSION))
    async with telling() as port:
        ended = await seen(proxy, port, user="alice-session-b2")
        async with asked(proxy, "::1", port, "alice-session-a1") as first:
            await engine.upgrade()
            assert await seen(proxy, port, user="alice-session-b2") == ended
            await asyncio.sleep(1.2)
            assert await seen(proxy, port, user="alice-session-a1") == first


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not await condition():
            await asyncio.sleep(0.02)


async def test_http_requests_of_two_sessions_never_share_a_connection(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record(SESSION))
    async with pages() as (port, sources):
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        for user in ("alice-session-a", "alice-session-a", "alice-session-b", "alice-session-a", "alice"):
            await page(reader, writer, port, user)
        writer.close()
    first, again, other, back, none = sources
    assert first == again == back
    assert len({first, other, none}) == 3


async def test_a_changed_exit_counts_for_new_connections_and_leaves_the_open_ones_alone(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record({"mode": "address", "address": V6_EXIT}))
    changed = record(RANDOM, version=2)
    async with telling() as port, asked(proxy, "::1", port) as before, pages() as (page_port, sources):
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        await page(reader, writer, page_port, "alice")
        tunnel = await asyncio.open_connection("127.0.0.1", proxy.port)
        tunnel[1].write(f"CONNECT [::1]:{port} HTTP/1.1\r\nProxy-Authorization: Basic {LOGIN}\r\n\r\n".encode())
        await tunnel[0].readuntil(b"\r\n\r\n")
        await tunnel[0].readline()
        await engine.start(changed)
        await page(reader, writer, page_port, "alice")
        assert before == sources[0] == V6_EXIT
        assert decoded(sources[1]) is not None
        assert not tunnel[0].at_eof()
        tunnel[1].write_eof()
        assert await tunnel[0].read() == b""
        writer.close()
        tunnel[1].close()


LOGIN = "YWxpY2U6d29uZGVy"


async def page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, user: str) -> None:
    """One request through the proxy, answered."""
    login = base64.b64encode(f"{user}:wonder".encode()).decode()
    head = f"GET http://[::1]:{port}/ HTTP/1.1\r\nHost: [::1]\r\nProxy-Authorization: Basic {login}\r\n\r\n"
    writer.write(head.encode())
    async with asyncio.timeout(LIMIT_S):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")


@asynccontextmanager
async def pages() -> AsyncIterator[tuple[int, list[str]]]:
    """An origin, and from where each of its requests came."""
    sources: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                sources.append(writer.get_extra_info("peername")[0])
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "::1", 0) as server:
        yield server.sockets[0].getsockname()[1], sources


async def test_a_session_stays_when_the_exit_becomes_another(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record(SESSION))
    async with pages() as (port, sources):
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        await page(reader, writer, port, "alice-session-a")
        await engine.start(record({"mode": "address", "address": V6_EXIT}, version=2))
        await page(reader, writer, port, "alice")
        writer.close()
    assert sources[0] != V6_EXIT
    assert sources[1] == V6_EXIT


async def test_datagrams_leave_by_the_exit_too_and_only_to_its_family(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record(RANDOM))
    async with datagrams("::1", echoes=True) as six, datagrams(echoes=True) as four:
        sources: list[str] = []
        for _ in range(2):
            async with association(proxy) as client:
                client.send(b"never", four.port)
                client.send(b"ping", six.port, "::1")
                assert await client.answer() == headed(b"ping", six.port, "::1")
                sources.append((await six.next())[1][0])
        assert four.heard.empty()
    assert [number.proxy for each in sources if (number := decoded(each))] == [1, 1]
    assert len(set(sources)) == 2


async def test_an_exit_that_cannot_be_made_is_told_and_what_runs_goes_on(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record({"mode": "address", "address": V6_EXIT}))
    with pytest.raises(EngineError, match="length of 32 to 112"):
        await engine.start(record(RANDOM | {"prefix": "2001:db8::/120"}, version=2, port=PORT + 9))
    assert await engine.running() == {1: 1}
    async with telling() as port:
        assert await seen(proxy, port) == V6_EXIT


def test_the_doctor_tells_a_routed_prefix_from_one_that_is_not(routed: None) -> None:
    exits = {
        1: Exit.model_validate(RANDOM),
        2: Exit(mode="address", address=V4_EXIT),
        3: Exit(mode="address", address=V6_EXIT),
        4: Exit(mode="ipv6_random", prefix="2001:db8:99::/64"),
        5: Exit(mode="address", address="203.0.113.9"),
        6: Exit(mode="address", address="2001:db8:99::1"),
    }
    found = {finding.text.split()[0]: finding.level for finding in exit_findings(exits)}
    assert found == {PREFIX: "ok", V4_EXIT: "ok", V6_EXIT: "ok", "answers": "problem"}


async def test_whois_names_the_proxy_of_a_connection_by_its_address_alone(
    engine: BuiltinEngine, tmp_path: Path
) -> None:
    await engine.start(proxy := record(RANDOM, 41))
    async with telling() as port:
        source = await seen(proxy, port)
    (tmp_path / "engine").rename(tmp_path / "builtin")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "node", "whois", source),
        env={**os.environ, "NODE_DATA_DIR": str(tmp_path)},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    (tmp_path / "builtin").rename(tmp_path / "engine")
    assert (process.returncode, b"of id 41 " in output, PREFIX.encode() in output) == (0, True, True)
