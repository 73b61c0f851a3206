"""What 3proxy's clients meet beyond the contract of all engines."""

import asyncio
import string
from contextlib import AsyncExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest

from node.engine.three_proxy.binary import version
from node.engine.three_proxy.engine import ThreeProxyEngine
from shared.proxies import CREDENTIAL_MAX
from tests.clients.plain import ELSEWHERE, PAGE, RefusedError, answer_page, dialled, fetch
from tests.clients.streams import HERE, serving
from tests.engines.records import open_to, record
from tests.engines.three_proxy import opened

USERNAME_MARKS = "!$%&'()+-./<=>?@[]^_`{|}~"
PASSWORD_MARKS = USERNAME_MARKS + "#*,:;"
LETTERS = string.ascii_letters + string.digits


def logins() -> list[tuple[str, str]]:
    """Every mark that is allowed, alone and with others, all characters together, and up to 188 bytes."""
    alone = [(mark, "password") for mark in USERNAME_MARKS] + [("name", mark) for mark in PASSWORD_MARKS]
    doubled = [(2 * a, 2 * b) for a, b in zip(USERNAME_MARKS, PASSWORD_MARKS, strict=False)]
    together = (LETTERS + USERNAME_MARKS, LETTERS + PASSWORD_MARKS)
    return [*alone, *doubled, together, ("n" * 67, "p" * CREDENTIAL_MAX), ("n" * CREDENTIAL_MAX, "p" * 67)]


async def gets_in_alone(engine: ThreeProxyEngine, login: tuple[str, str], page: int) -> None:
    """Nobody else does: neither a longer name nor a longer password."""
    await engine.start(proxy := record(1, username=login[0], password=login[1]))
    for way in ("connect", "socks5"):
        assert await fetch(proxy, page, login, way=way) == PAGE, login
        for wrong in ((login[0], login[1] + "x"), (login[0] + "x", login[1])):
            with pytest.raises(RefusedError):
                await fetch(proxy, page, wrong, way=way)
    await engine.stop(1)


async def test_every_allowed_login_gets_in_and_a_changed_one_does_not(directory: Path, binary: Path, page: int) -> None:
    async with opened(directory, binary) as engine:
        for login in logins():
            await gets_in_alone(engine, login, page)


async def test_the_longest_login_gets_in(directory: Path, binary: Path, page: int) -> None:
    if (await version(binary)).startswith("0."):
        pytest.skip("before 1.0 an HTTP login of more than 189 bytes is refused")
    async with opened(directory, binary) as engine:
        await gets_in_alone(engine, ("n" * CREDENTIAL_MAX, "p" * CREDENTIAL_MAX), page)


async def test_more_clients_than_the_default_limit_are_served(directory: Path, binary: Path, page: int) -> None:
    async with opened(directory, binary) as engine, AsyncExitStack() as clients:
        await engine.start(proxy := record(1, protocol="http"))
        for _ in range(600):
            await clients.enter_async_context(dialled(proxy.port))
        assert await fetch(proxy, page) == PAGE


@pytest.mark.parametrize("way", ["absolute", "connect", "socks5"])
async def test_listening_on_every_address_still_tells_ipv4_sources_apart(
    directory: Path, binary: Path, page: int, way: str
) -> None:
    async with opened(directory, binary, listen=None) as engine:
        await engine.start(proxy := record(1, **open_to("127.0.0.2/31", "2001:db8::/32")))
        assert await fetch(proxy, page, None, way=way, source=ELSEWHERE) == PAGE
        with pytest.raises(RefusedError):
            await fetch(proxy, page, None, way=way)


@pytest.mark.parametrize("command", [2, 3])
async def test_socks_binds_no_port_and_relays_no_datagrams(directory: Path, binary: Path, command: int) -> None:
    async with opened(directory, binary) as engine:
        await engine.start(proxy := record(1, **open_to(HERE)))
        answer = b"none, as 0.9 does"
        async with dialled(proxy.port) as stream:
            stream.writer.write(b"\5\1\0")
            assert await stream.reader.readexactly(2) == b"\5\0"
            stream.writer.write(b"\5%c\0\1\x7f\0\0\1\x40\0" % command)
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    answer = await stream.reader.read(10)
        assert not answer.startswith(b"\5\0")


async def test_names_are_asked_of_the_given_servers(directory: Path, binary: Path, page: int) -> None:
    class Resolver(asyncio.DatagramProtocol):
        """Answers every question with 127.0.0.1."""

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: Any) -> None:
            question = data[12 : data.index(b"\0", 12) + 5]
            answer = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x7f\0\0\1"
            self.transport.sendto(data[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + question + answer, addr)  # type: ignore[attr-defined]

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Resolver, (HERE, 0))
    server = f"{HERE}:{transport.get_extra_info('sockname')[1]}"
    with closing(transport):
        async with opened(directory, binary, nservers=[server]) as engine:
            await engine.start(proxy := record(1))
            assert await fetch(proxy, page, host="origin.test") == PAGE
            assert await fetch(proxy, page, host="origin.test", way="socks5") == PAGE


async def test_an_origin_with_an_ipv6_address_is_reached(directory: Path, binary: Path) -> None:
    async with opened(directory, binary) as engine, serving(answer_page, "::1") as port:
        await engine.start(proxy := record(1))
        assert await fetch(proxy, port, host="[::1]") == PAGE


async def test_while_a_version_replaces_another_no_client_is_refused_a_connection(
    directory: Path, binary: Path
) -> None:
    """A client that the old process has not accepted yet is reset when it ends: dialled again, it is served."""
    done = asyncio.Event()

    async def knock() -> int:
        count = 0
        while not done.is_set():
            with suppress(ConnectionResetError):
                async with dialled(proxy.port):
                    count += 1
        return count

    async with opened(directory, binary) as engine:
        await engine.start(proxy := record(1))
        async with asyncio.TaskGroup() as tasks:
            knocks = tasks.create_task(knock())
            for number in range(2, 12):
                await engine.start(proxy.model_copy(update={"version": number, "password": f"p{number}"}))
            done.set()
        assert knocks.result() > 10
