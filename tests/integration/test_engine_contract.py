"""What every engine promises the agent, shown with real sockets: local origins behind, plain clients in front."""

import asyncio
import base64
import os
import random
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from node.engine import EngineError
from shared.proxies import ProxyRecord
from tests.three_proxies import binaries, skip_where_too_old

LIMIT_S = 5.0
HERE, ELSEWHERE = "127.0.0.1", "127.0.0.2"
LOCAL = ("127.0.0.0/8", "::1")
PORTS = iter(random.sample(range(20000, 30000), 10000))
PAGE = b"a page of the origin"
ALICE, BOB = ("alice", "wonder-1"), ("bob", "builder-2")
WAYS = {"http": ("absolute", "connect"), "socks5": ("socks5",), "mixed": ("absolute", "connect", "socks5")}
EVERY_WAY = [(protocol, way) for protocol, ways in WAYS.items() for way in ways]

Login = tuple[str, str] | None
OpenEngine = Callable[..., AbstractAsyncContextManager[Any]]


class RefusedError(Exception):
    """The proxy turned the client away: an HTTP status, a SOCKS failure code, or None for a closed connection."""

    def __init__(self, code: int | None) -> None:
        super().__init__(code)
        self.code = code


def builtin(directory: Path, on_change: Callable[[], None]) -> Any:
    from node.engine.builtin import BuiltinEngine

    return BuiltinEngine(directory, listen=HERE, allow_destinations=LOCAL, workers=1, on_change=on_change)


def three_proxy(binary: Path | None, directory: Path, on_change: Callable[[], None]) -> Any:
    if binary is None:
        pytest.skip("3proxy is neither named by THREE_PROXY nor on PATH")
    from node.engine.three_proxy import ThreeProxyEngine

    return ThreeProxyEngine(directory, binary=binary, listen=HERE, on_change=on_change)


def engines() -> list[Any]:
    """The built-in one, and each 3proxy that there is."""
    found = [pytest.param(partial(three_proxy, binary), id=f"3proxy {binary}") for binary in binaries() or [None]]
    return [pytest.param(builtin, id="builtin"), *found]


@pytest.fixture(params=engines())
def open_engine(request: pytest.FixtureRequest, tmp_path: Path) -> OpenEngine:
    """Opens the engine of one directory; what it runs is halted at the end, unless `leave` is asked for."""

    @asynccontextmanager
    async def opened(*, leave: bool = False, on_change: Callable[[], None] = lambda: None) -> AsyncIterator[Any]:
        async with request.param(tmp_path / "engine", on_change) as engine:
            try:
                yield engine
            except BaseException as error:
                await engine.halt()
                skip_where_too_old(error)
                raise
            if not leave:
                await engine.halt()

    return opened


def record(id_: int, **changes: Any) -> ProxyRecord:
    """A mixed proxy for Alice on a free port, unless changed."""
    fields = {"id": id_, "version": 1, "content": 7, "protocol": "mixed", "username": ALICE[0], "password": ALICE[1]}
    fields["port"] = changes.pop("port", None) or free_port()
    return ProxyRecord.model_validate(fields | changes)


def open_to(*networks: str) -> dict[str, Any]:
    return {"username": None, "password": None, "allow_ips": networks}


def free_port() -> int:
    """A port outside net.ipv4.ip_local_port_range, so that no outgoing connection takes it; none is given twice."""
    for port in PORTS:
        with socket.socket() as probe, suppress(OSError):
            probe.bind((HERE, port))
            return port
    raise AssertionError("no port is free")


def listener_pids(port: int) -> set[int]:
    """Processes other than this one that hold the listening socket, read from /proc."""
    rows = [row.split() for name in ("tcp", "tcp6") for row in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    links = {f"socket:[{row[9]}]" for row in rows if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port}
    return {int(fd.parts[2]) for fd in Path("/proc").glob("[0-9]*/fd/*") if link_of(fd) in links} - {os.getpid()}


def link_of(path: Path) -> str | None:
    with suppress(OSError):
        return os.readlink(path)
    return None


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not await condition():
            await asyncio.sleep(0.02)


@asynccontextmanager
async def serving(
    answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], host: str = HERE
) -> AsyncIterator[int]:
    """The port of a server whose sessions are all over when the context is left."""
    sessions: set[asyncio.StreamWriter] = set()

    async def session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sessions.add(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await answer(reader, writer)
        writer.close()
        sessions.discard(writer)

    async def over() -> bool:
        return not sessions

    server = await asyncio.start_server(session, host, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in sessions:
            writer.transport.abort()
        await until(over)


async def answer_page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(PAGE), PAGE))
    await writer.drain()


async def answer_echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


@pytest.fixture
async def page() -> AsyncIterator[int]:
    async with serving(answer_page) as port:
        yield port


@pytest.fixture
async def echo() -> AsyncIterator[int]:
    async with serving(answer_echo) as port:
        yield port


@dataclass(frozen=True)
class Stream:
    """A connection through the proxy, or to it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def echoes(self, data: bytes = b"still here") -> bool:
        self.writer.write(data)
        async with asyncio.timeout(LIMIT_S):
            return await self.reader.readexactly(len(data)) == data

    async def closed(self) -> None:
        with suppress(ConnectionError):
            while await self.reader.read(65536):
                pass

    async def flows_until(self, done: asyncio.Event) -> int:
        """Bytes that came back whole and in order, up to the event."""
        total, chunk = 0, random.randbytes(65536)
        while not done.is_set():
            assert await self.echoes(chunk)
            total += len(chunk)
        return total


@contextmanager
def refusals() -> Any:
    try:
        yield
    except (ConnectionError, asyncio.IncompleteReadError) as error:
        raise RefusedError(None) from error


@asynccontextmanager
async def dialled(port: int, source: str = HERE) -> AsyncIterator[Stream]:
    async with asyncio.timeout(LIMIT_S):
        reader, writer = await asyncio.open_connection(HERE, port, local_addr=(source, 0))
    try:
        yield Stream(reader, writer)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


def basic(login: Login) -> str:
    if login is None:
        return ""
    return f"Proxy-Authorization: Basic {base64.b64encode(':'.join(login).encode()).decode()}\r\n"


async def http_head(stream: Stream, request: str) -> None:
    """Sends the request and reads the answer's head; anything but 2xx is a refusal."""
    with refusals():
        async with asyncio.timeout(LIMIT_S):
            stream.writer.write(request.encode())
            status = int((await stream.reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1])
    if status // 100 != 2:
        raise RefusedError(status)


async def http_connect(stream: Stream, host: str, port: int, login: Login) -> None:
    await http_head(stream, f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n{basic(login)}\r\n")


async def socks_connect(stream: Stream, host: str, port: int, login: Login) -> None:
    """RFC 1928 and 1929; a login is offered only where there is one."""
    with refusals():
        async with asyncio.timeout(LIMIT_S):
            stream.writer.write(b"\5\1\2" if login else b"\5\1\0")
            _, method = await stream.reader.readexactly(2)
            if method == 0xFF:
                raise RefusedError(method)
            if method == 2 and login:
                await socks_login(stream, login)
            stream.writer.write(b"\5\1\0" + socks_address(host) + port.to_bytes(2))
            _, code, _, kind = await stream.reader.readexactly(4)
            if code:
                raise RefusedError(code)
            await stream.reader.readexactly({1: 6, 4: 18}[kind])


async def socks_login(stream: Stream, login: tuple[str, str]) -> None:
    fields = b"".join(bytes([len(field)]) + field.encode() for field in login)
    stream.writer.write(b"\1" + fields)
    _, status = await stream.reader.readexactly(2)
    if status:
        raise RefusedError(status)


def socks_address(host: str) -> bytes:
    with suppress(ValueError):
        return b"\1" + IPv4Address(host).packed
    return b"\3" + bytes([len(host)]) + host.encode()


@asynccontextmanager
async def tunnel(
    proxy: ProxyRecord, port: int, login: Login = ALICE, *, way: str = "connect", host: str = HERE, source: str = HERE
) -> AsyncIterator[Stream]:
    """A connection to the origin through the proxy; raises RefusedError."""
    async with dialled(proxy.port, source) as stream:
        await {"connect": http_connect, "socks5": socks_connect}[way](stream, host, port, login)
        yield stream


async def fetch(
    proxy: ProxyRecord, port: int, login: Login = ALICE, *, way: str = "connect", host: str = HERE, source: str = HERE
) -> bytes:
    """The origin's page; raises RefusedError."""
    if way == "absolute":
        request = f"GET http://{host}:{port}/ HTTP/1.1\r\nHost: {host}:{port}\r\n{basic(login)}\r\n"
        async with dialled(proxy.port, source) as stream:
            await http_head(stream, request)
            return await stream.reader.readexactly(len(PAGE))
    async with tunnel(proxy, port, login, way=way, host=host, source=source) as stream:
        await http_head(stream, f"GET / HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n")
        return await stream.reader.readexactly(len(PAGE))


async def accepts(port: int) -> bool:
    with suppress(ConnectionError):
        async with dialled(port):
            return True
    return False


@pytest.mark.parametrize(("protocol", "way"), EVERY_WAY)
async def test_a_client_fetches_a_page_by_address_and_by_name(
    open_engine: OpenEngine, page: int, protocol: str, way: str
) -> None:
    async with open_engine() as engine:
        await engine.start(proxy := record(1, protocol=protocol))
        assert await engine.running() == {1: 1}
        assert await fetch(proxy, page, way=way) == PAGE
        assert await fetch(proxy, page, way=way, host="localhost") == PAGE


async def test_the_origin_learns_neither_the_login_nor_the_client(open_engine: OpenEngine) -> None:
    heads: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(PAGE), PAGE))

    async with open_engine() as engine, serving(answer) as port:
        await engine.start(proxy := record(1))
        assert await fetch(proxy, port, way="absolute", source=ELSEWHERE) == PAGE
    head = heads[0].lower()
    assert head.startswith(b"get / http/1.1\r\n")
    assert not [word for word in (b"proxy-auth", b"forwarded", b"via:", ELSEWHERE.encode()) if word in head]


@pytest.mark.parametrize(("protocol", "way"), EVERY_WAY)
async def test_a_wrong_or_missing_login_is_refused(open_engine: OpenEngine, page: int, protocol: str, way: str) -> None:
    async with open_engine() as engine:
        await engine.start(proxy := record(1, protocol=protocol))
        for login in ((ALICE[0], "guess"), BOB, None):
            with pytest.raises(RefusedError) as refusal:
                await fetch(proxy, page, login, way=way)
            assert way == "socks5" or refusal.value.code == 407
        assert await fetch(proxy, page, way=way) == PAGE


@pytest.mark.parametrize(("protocol", "way"), EVERY_WAY)
async def test_without_a_login_only_listed_sources_get_in(
    open_engine: OpenEngine, page: int, protocol: str, way: str
) -> None:
    async with open_engine() as engine:
        await engine.start(proxy := record(1, protocol=protocol, **open_to("192.0.2.0/24", "2001:db8::/32", ELSEWHERE)))
        assert await fetch(proxy, page, None, way=way, source=ELSEWHERE) == PAGE
        with pytest.raises(RefusedError):
            await fetch(proxy, page, None, way=way)


@pytest.mark.parametrize(("protocol", "way"), EVERY_WAY)
async def test_with_both_a_login_and_sources_both_must_hold(
    open_engine: OpenEngine, page: int, protocol: str, way: str
) -> None:
    async with open_engine() as engine:
        await engine.start(proxy := record(1, protocol=protocol, allow_ips=(ELSEWHERE,)))
        assert await fetch(proxy, page, ALICE, way=way, source=ELSEWHERE) == PAGE
        for login, source in ((ALICE, HERE), (BOB, ELSEWHERE), (None, ELSEWHERE)):
            with pytest.raises(RefusedError):
                await fetch(proxy, page, login, way=way, source=source)


@pytest.mark.parametrize(("protocol", "way"), EVERY_WAY)
async def test_a_proxy_with_neither_login_nor_sources_serves_nobody(
    open_engine: OpenEngine, page: int, protocol: str, way: str
) -> None:
    async with open_engine() as engine:
        with suppress(EngineError):
            await engine.start(proxy := record(1, protocol=protocol, **open_to()))
            for login in (ALICE, None):
                with pytest.raises(RefusedError):
                    await fetch(proxy, page, login, way=way)


@pytest.mark.parametrize(("protocol", "way"), [("http", "socks5"), ("socks5", "connect")])
async def test_a_proxy_speaks_only_its_own_protocol(
    open_engine: OpenEngine, page: int, protocol: str, way: str
) -> None:
    async with open_engine() as engine:
        await engine.start(proxy := record(1, protocol=protocol))
        with pytest.raises((RefusedError, TimeoutError)):
            async with asyncio.timeout(1):
                await fetch(proxy, page, way=way)


async def test_two_proxies_do_not_know_each_others_users(open_engine: OpenEngine, page: int) -> None:
    async with open_engine() as engine:
        await engine.start(first := record(1))
        await engine.start(second := record(2, username=BOB[0], password=BOB[1]))
        assert await engine.running() == {1: 1, 2: 1}
        assert (await fetch(first, page, ALICE), await fetch(second, page, BOB)) == (PAGE, PAGE)
        for proxy, login in ((first, BOB), (second, ALICE)):
            with pytest.raises(RefusedError):
                await fetch(proxy, page, login)


async def test_starting_the_same_record_again_leaves_its_connections_alone(open_engine: OpenEngine, echo: int) -> None:
    async with open_engine() as engine:
        await engine.start(proxy := record(1))
        async with tunnel(proxy, echo) as stream:
            await engine.start(proxy)
            assert await stream.echoes()
        assert await engine.running() == {1: 1}


async def test_stopping_closes_the_listener_and_open_connections_within_a_second(
    open_engine: OpenEngine, echo: int
) -> None:
    async with open_engine() as engine:
        await engine.start(proxy := record(1))
        async with tunnel(proxy, echo) as connect, tunnel(proxy, echo, way="socks5") as socks:
            async with asyncio.timeout(1):
                await engine.stop(1)
                await connect.closed()
                await socks.closed()
        assert not await accepts(proxy.port)
        assert await engine.running() == {}


async def test_stopping_what_is_stopped_or_unknown_does_nothing(open_engine: OpenEngine) -> None:
    async with open_engine() as engine:
        await engine.start(record(1))
        await engine.stop(1)
        await engine.stop(1)
        await engine.stop(404)
        assert await engine.running() == {}


async def test_a_stopped_proxy_can_be_started_again(open_engine: OpenEngine, page: int) -> None:
    async with open_engine() as engine:
        await engine.start(proxy := record(1))
        await engine.stop(1)
        await engine.start(proxy)
        assert await fetch(proxy, page) == PAGE


async def test_adding_changing_and_stopping_a_proxy_costs_another_no_byte(open_engine: OpenEngine, echo: int) -> None:
    done = asyncio.Event()
    async with open_engine() as engine:
        await engine.start(proxy := record(1))
        async with tunnel(proxy, echo) as stream, asyncio.TaskGroup() as tasks:
            flow = tasks.create_task(stream.flows_until(done))
            await engine.start(other := record(2))
            await engine.start(other.model_copy(update={"version": 2, "password": "changed"}))
            await engine.stop(2)
            done.set()
        assert flow.result() > 0


async def test_a_port_held_by_another_program_is_named_and_what_ran_before_runs_on(
    open_engine: OpenEngine, echo: int
) -> None:
    async with open_engine() as engine:
        await engine.start(proxy := record(1))
        async with tunnel(proxy, echo) as stream:
            with socket.create_server((HERE, free_port())) as other:
                taken = other.getsockname()[1]
                for id_ in (1, 2):
                    with pytest.raises(EngineError, match=str(taken)):
                        await engine.start(record(id_, version=2, port=taken))
            assert await engine.running() == {1: 1}
            assert await stream.echoes()
        async with tunnel(proxy, echo, way="socks5") as later:
            assert await later.echoes()


async def test_a_freed_port_can_be_used_at_the_next_start(open_engine: OpenEngine, page: int) -> None:
    async with open_engine() as engine:
        with socket.create_server((HERE, free_port())) as other:
            proxy = record(1, port=other.getsockname()[1])
            with pytest.raises(EngineError):
                await engine.start(proxy)
        await engine.start(proxy)
        assert await fetch(proxy, page) == PAGE


async def test_running_tells_the_truth_after_a_process_was_killed(open_engine: OpenEngine, page: int) -> None:
    told = asyncio.Event()
    async with open_engine(on_change=told.set) as engine:
        await engine.start(proxy := record(1))
        told.clear()
        for pid in listener_pids(proxy.port):
            os.kill(pid, signal.SIGKILL)

        async def agrees() -> bool:
            return (1 in await engine.running()) == await accepts(proxy.port)

        await until(agrees)
        async with asyncio.timeout(LIMIT_S):
            await told.wait()
        await engine.start(proxy)
        assert await fetch(proxy, page) == PAGE


@pytest.mark.parametrize("way", ["connect", "socks5"])
async def test_a_new_version_takes_the_new_password_and_refuses_the_old(
    open_engine: OpenEngine, page: int, way: str
) -> None:
    async with open_engine() as engine:
        await engine.start(proxy := record(1))
        await engine.start(proxy.model_copy(update={"version": 2, "password": "changed"}))
        assert await engine.running() == {1: 2}
        assert await fetch(proxy, page, (ALICE[0], "changed"), way=way) == PAGE
        for _ in range(20):
            with pytest.raises(RefusedError):
                await fetch(proxy, page, ALICE, way=way)


async def test_a_new_version_closes_connections_made_with_the_old_password(open_engine: OpenEngine, echo: int) -> None:
    async with open_engine() as engine:
        await engine.start(proxy := record(1))
        async with tunnel(proxy, echo) as stream, asyncio.timeout(LIMIT_S):
            await engine.start(proxy.model_copy(update={"version": 2, "password": "changed"}))
            await stream.closed()


async def test_a_new_version_with_nothing_to_change_leaves_connections_alone(
    open_engine: OpenEngine, echo: int
) -> None:
    async with open_engine() as engine:
        await engine.start(proxy := record(1))
        async with tunnel(proxy, echo) as stream:
            await engine.start(proxy.model_copy(update={"version": 2, "content": 8}))
            assert await stream.echoes()
        assert await engine.running() == {1: 2}


async def test_a_new_protocol_on_the_same_port_replaces_the_old(open_engine: OpenEngine, page: int) -> None:
    async with open_engine() as engine:
        await engine.start(proxy := record(1, protocol="http"))
        await engine.start(proxy.model_copy(update={"version": 2, "protocol": "socks5"}))
        assert await fetch(proxy, page, way="socks5") == PAGE


async def test_a_changed_port_is_open_and_the_old_one_closed(open_engine: OpenEngine, page: int) -> None:
    async with open_engine() as engine:
        await engine.start(before := record(1))
        await engine.start(after := before.model_copy(update={"version": 2, "port": free_port()}))
        assert await engine.running() == {1: 2}
        assert await fetch(after, page) == PAGE
        assert not await accepts(before.port)


async def test_an_engine_opened_again_adopts_what_runs_with_its_connections(open_engine: OpenEngine, echo: int) -> None:
    proxy = record(1)
    async with AsyncExitStack() as clients:
        async with open_engine(leave=True) as engine:
            await engine.start(proxy)
            pids = listener_pids(proxy.port)
            stream = await clients.enter_async_context(tunnel(proxy, echo))
        assert await stream.echoes()
        async with open_engine() as engine:
            assert await engine.running() == {1: 1}
            await engine.start(proxy)
            assert await stream.echoes()
            assert listener_pids(proxy.port) == pids != set()


async def test_an_adopted_proxy_can_be_changed_and_stopped(open_engine: OpenEngine, page: int) -> None:
    proxy = record(1)
    async with open_engine(leave=True) as engine:
        await engine.start(proxy)
    async with open_engine() as engine:
        await engine.start(proxy.model_copy(update={"version": 2, "password": "changed"}))
        assert await fetch(proxy, page, (ALICE[0], "changed")) == PAGE
        await engine.stop(1)
        assert not await accepts(proxy.port)


async def test_halting_ends_every_process_and_nothing_is_adopted_later(open_engine: OpenEngine) -> None:
    proxies = [record(id_) for id_ in (1, 2)]
    async with open_engine() as engine:
        for proxy in proxies:
            await engine.start(proxy)
        await engine.halt()
        assert [listener_pids(proxy.port) for proxy in proxies] == [set(), set()]
    async with open_engine() as engine:
        assert await engine.running() == {}
