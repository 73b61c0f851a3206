"""SOCKS through the built-in engine, and handshakes of every kind in pieces."""

import asyncio
import struct

import pytest

from node.engine.builtin.engine import BuiltinEngine
from tests.clients.streams import HERE, LOGIN, dialled, echo, echoes, free_port, record, said, serving


async def test_what_is_sent_behind_a_connect_or_a_socks_request_is_not_lost(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record())
    async with serving(echo) as port:
        connect = f"CONNECT {HERE}:{port} HTTP/1.1\r\n{LOGIN}\r\n\r\nearly".encode()
        socks = b"\5\1\2\1\5alice\6wonder\5\1\0\1\x7f\0\0\1" + struct.pack("!H", port) + b"early"
        for request in (connect, socks):
            async with dialled(proxy.port) as (reader, writer):
                writer.write(request)
                assert await reader.readuntil(b"early")


@pytest.mark.parametrize("protocol", ["socks5", "mixed"])
@pytest.mark.parametrize("by_name", [False, True])
async def test_socks4_serves_who_tells_name_and_password_as_user_id(
    engine: BuiltinEngine, protocol: str, by_name: bool
) -> None:
    await engine.start(proxy := record(protocol=protocol))
    where = b"\0\0\0\1alice:wonder\0localhost\0" if by_name else b"\x7f\0\0\1alice:wonder\0"
    async with serving(echo) as port, dialled(proxy.port) as (reader, writer):
        writer.write(b"\4\1" + struct.pack("!H", port) + where + b"early")
        assert await reader.readexactly(13) == b"\0\x5a\0\0\0\0\0\0early"


async def test_socks4_needs_no_user_id_where_the_source_is_all_that_is_asked(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record(username=None, password=None, allow_ips=("127.0.0.1",)))
    async with serving(echo) as port:
        for user_id in (b"", b"anybody"):
            async with dialled(proxy.port) as (reader, writer):
                writer.write(b"\4\1" + struct.pack("!H", port) + b"\x7f\0\0\1" + user_id + b"\0")
                assert await reader.readexactly(8) == b"\0\x5a\0\0\0\0\0\0"
                assert await echoes((reader, writer))


async def test_a_handshake_may_come_byte_by_byte(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record())
    async with serving(echo) as port:
        connect = f"CONNECT {HERE}:{port} HTTP/1.1\r\n{LOGIN}\r\n\r\n!".encode()
        socks = b"\5\1\2\1\5alice\6wonder\5\1\0\1\x7f\0\0\1" + struct.pack("!H", port) + b"!"
        socks4 = b"\4\1" + struct.pack("!H", port) + b"\0\0\0\1alice:wonder\x00127.0.0.1\0!"
        for request in (connect, socks, socks4):
            async with dialled(proxy.port) as (reader, writer):
                for byte in request:
                    writer.write(bytes((byte,)))
                    await writer.drain()
                    await asyncio.sleep(0)
                assert await reader.readuntil(b"!")


@pytest.mark.parametrize(
    ("sent", "got"),
    [
        (b"\5\1\0", b"\5\xff"),
        (b"\5\1\2\1\5alice\5guess", b"\5\2\1\1"),
        (b"\5\1\2\1\5alice\6wonder\5\2\0\1\x7f\0\0\1\0\x50", b"\5\2\1\0\5\7\0\1\0\0\0\0\0\0"),
        (b"\5\1\2\1\5alice\6wonder\5\1\0\5\x7f\0\0\1\0\x50", b"\5\2\1\0\5\x08\0\1\0\0\0\0\0\0"),
        (b"\5\1\2\1\5alice\6wonder\5\1\0\1\x7f\0\0\1CLOSED", b"\5\2\1\0\5\5\0\1\0\0\0\0\0\0"),
        (b"\5\1\2\1\5alice\6wonder\5\1\0\3\x14no-such-name.invalid\0\x50", b"\5\2\1\0\5\4\0\1\0\0\0\0\0\0"),
        (b"\4\1\0\x50\x7f\0\0\1\0", b"\0\x5d\0\0\0\0\0\0"),
        (b"\4\1\0\x50\x7f\0\0\1alice\0", b"\0\x5d\0\0\0\0\0\0"),
        (b"\4\1\0\x50\x7f\0\0\1alice:guess\0", b"\0\x5d\0\0\0\0\0\0"),
        (b"\4\2\0\x50\x7f\0\0\1alice:wonder\0", b"\0\x5b\0\0\0\0\0\0"),
        (b"\4\1CLOSED\x7f\0\0\1alice:wonder\0", b"\0\x5b\0\0\0\0\0\0"),
        (b"\4\1\0\x50\0\0\0\1alice:wonder\0no-such-name.invalid\0", b"\0\x5b\0\0\0\0\0\0"),
        (b"\x16\3\1\2\0\1\0\1\xfc\3\3", b""),
    ],
)
async def test_socks_failures_have_their_codes_and_end_the_connection(
    engine: BuiltinEngine, sent: bytes, got: bytes
) -> None:
    await engine.start(proxy := record())
    async with dialled(proxy.port) as (reader, writer):
        assert await said(reader, writer, sent.replace(b"CLOSED", struct.pack("!H", free_port()))) == got
