"""What a proxy of the built-in engine does not do for anybody, shown with real workers and sockets."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from node.engine.builtin import BuiltinEngine
from tests.streams import HERE, LOGIN, dialled, echo, head_of, record, said, serving

SOCKS_LOGIN = b"\5\1\2\1\5alice\6wonder"


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[BuiltinEngine]:
    """Nothing is opened."""
    async with BuiltinEngine(tmp_path / "engine", listen=HERE, workers=1) as opened:
        yield opened
        await opened.halt()


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "0.0.0.0", "127.1", "2130706433", "[::1]", "[::ffff:7f00:1]"]
)
async def test_the_node_itself_is_no_destination_however_it_is_named(engine: BuiltinEngine, host: str) -> None:
    """Names are judged by what they resolve to: `localhost` stands for any name that points here."""
    await engine.start(proxy := record())
    async with serving(echo) as port, dialled(proxy.port) as (reader, writer):
        writer.write(f"CONNECT {host}:{port} HTTP/1.1\r\n{LOGIN}\r\n\r\n".encode())
        assert (await head_of(reader)).startswith(b"HTTP/1.1 403")


async def test_socks_says_that_the_destination_is_not_allowed(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record())
    async with dialled(proxy.port) as (reader, writer):
        answer = await said(reader, writer, SOCKS_LOGIN + b"\5\1\0\1\x7f\0\0\1\0\x50")
    assert answer[4:6] == b"\5\2"


async def test_a_guard_that_is_told_anew_holds_for_the_next_connection(tmp_path: Path) -> None:
    """An agent that restarts with another setting finds a worker with the old one."""
    proxy = record()
    async with serving(echo) as port:
        request = f"CONNECT {HERE}:{port} HTTP/1.1\r\n{LOGIN}\r\n\r\n".encode()
        for opened, status in ((("127.0.0.1",), b"200"), ((), b"403")):
            async with BuiltinEngine(tmp_path, listen=HERE, workers=1, allow_destinations=opened) as engine:
                await engine.start(proxy)
                async with dialled(proxy.port) as (reader, writer):
                    writer.write(request)
                    assert (await head_of(reader)).split()[1] == status
        await engine.halt()
