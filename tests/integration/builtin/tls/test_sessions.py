"""Clients that speak TLS to a proxy of the built-in engine."""

import asyncio
import hashlib
import json
import random
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from node.engine.builtin.engine import BuiltinEngine
from node.engine.interface import EngineError
from tests.clients.http_requests import OK, get
from tests.clients.origins import Answer, Certificate, certificate
from tests.clients.streams import HERE, LIMIT_S, LOCAL, LOGIN, echo, head_of, record, serving, until
from tests.clients.tls import TlsClient, in_thread, tls_client
from tests.engines.tls import none_open, pem_of

GREETING = b"\5\1\2\1\5alice\6wonder"


def lines(folder: Path, event: str) -> list[dict[str, object]]:
    """What the worker has logged of this."""
    text = (folder / "engine" / "worker-0.log").read_text()
    return [each for each in map(json.loads, text.splitlines()) if each["event"] == event]


def filled(found: list[Any]) -> Callable[[], Awaitable[bool]]:
    async def is_filled() -> bool:
        return bool(found)

    return is_filled


def recording_origin() -> tuple[list[object], Answer]:
    """What was read to the end, or the error that ended it."""
    ends: list[object] = []

    async def reads(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        try:
            ends.append(await reader.read())
        except ConnectionError as error:
            ends.append(type(error))

    return ends, reads


async def answer_ok(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await head_of(reader)
        writer.write(OK)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_requests_are_served_inside_tls(
    engine: BuiltinEngine, server: Certificate, version: ssl.TLSVersion
) -> None:
    await engine.start(proxy := record(protocol="http", tls=True))
    context = server.client()
    context.maximum_version = version

    def asks() -> None:
        with tls_client(proxy.port, context) as client:
            assert client.ssl.version() == version.name.replace("_", ".")
            for _ in range(3):
                client.say(get(port).encode())
                assert client.hear_until(b"ok").startswith(b"HTTP/1.1 200")

    async with serving(answer_ok) as port:
        await in_thread(asks)


async def test_versions_before_1_2_are_refused(engine: BuiltinEngine, server: Certificate) -> None:
    await engine.start(proxy := record(tls=True))
    context = server.client()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1

    def fails() -> None:
        with pytest.raises(ssl.SSLError), tls_client(proxy.port, context):
            pass

    await in_thread(fails)


async def test_much_flows_whole_both_ways_and_is_counted_as_plain_bytes(
    engine: BuiltinEngine, server: Certificate
) -> None:
    await engine.start(proxy := record(tls=True))
    block, blocks = random.randbytes(1 << 20), 24

    def flows() -> None:
        with tls_client(proxy.port, server.client()) as client:
            client.connect(port)
            client.sock.settimeout(3 * LIMIT_S)
            for _ in range(blocks):
                client.say(block[:100_000])
                heard = b""
                while len(heard) < 100_000:
                    heard += client.hear()
                assert hashlib.sha256(heard).digest() == hashlib.sha256(block[:100_000]).digest()

    async with serving(echo) as port:
        await in_thread(flows)
        await until(none_open(engine))
        counted = (await engine.stats())[proxy.id]  # pyright: ignore[reportArgumentType]
        assert counted["received_bytes"] == blocks * 100_000


async def test_a_download_is_whole_whatever_the_client_reads(engine: BuiltinEngine, server: Certificate) -> None:
    await engine.start(proxy := record(tls=True))
    body = random.randbytes(20 << 20)

    async def pours(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(body)
        await writer.drain()

    def reads() -> None:
        with tls_client(proxy.port, server.client()) as client:
            client.connect(port)
            assert hashlib.sha256(client.hear_all()).digest() == hashlib.sha256(body).digest()

    async with serving(pours) as port:
        await in_thread(reads)


async def test_a_client_that_closes_its_side_still_gets_its_answer(engine: BuiltinEngine, server: Certificate) -> None:
    await engine.start(proxy := record(tls=True))

    async def answers_at_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"%d bytes" % len(await reader.read()))

    def asks() -> None:
        with tls_client(proxy.port, server.client()) as client:
            client.connect(port)
            client.say(b"x" * 70_000)
            client.goodbye()
            assert client.hear_all() == b"70000 bytes"

    async with serving(answers_at_the_end) as port:
        await in_thread(asks)


async def test_an_origin_that_closes_its_side_still_gets_what_the_client_sends(
    engine: BuiltinEngine, server: Certificate
) -> None:
    await engine.start(proxy := record(tls=True))
    got: list[bytes] = []

    async def ends_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"bye")
        writer.write_eof()
        got.append(await reader.read())

    def goes_on() -> None:
        with tls_client(proxy.port, server.client()) as client:
            client.connect(port)
            assert client.hear_all() == b"bye"
            for _ in range(5):
                client.say(b"y" * 20_000)
            client.goodbye()

    async with serving(ends_first) as port:
        await in_thread(goes_on)
        await until(filled(got))
    assert len(got[0]) == 100_000


async def test_a_connection_that_is_cut_does_not_look_complete_to_its_origin(
    engine: BuiltinEngine, server: Certificate
) -> None:
    await engine.start(proxy := record(tls=True))
    ends, reads = recording_origin()

    def is_cut() -> None:
        with tls_client(proxy.port, server.client()) as client:
            client.connect(port)
            assert client.hear() == b"hello"
            client.sock.shutdown(socket.SHUT_WR)
            with pytest.raises((ssl.SSLError, ConnectionError)):
                client.hear_all()

    async with serving(reads) as port:
        await in_thread(is_cut)
        await until(filled(ends))
    assert ends == [ConnectionResetError]


async def test_a_mixed_port_serves_socks_and_http_with_and_without_tls(
    engine: BuiltinEngine, server: Certificate
) -> None:
    await engine.start(proxy := record(protocol="mixed", tls=True))

    def socks(say: Callable[[bytes], object], hear: Callable[[int], bytes]) -> None:
        say(GREETING + b"\5\1\0\1\x7f\0\0\1" + struct.pack("!H", port))
        heard = b""
        while len(heard) < 14:
            heard += hear(14 - len(heard))
        assert heard.startswith(b"\5\2\1\0\5\0\0\1")
        say(b"ping")
        assert hear(4) == b"ping"

    def all_four() -> None:
        with tls_client(proxy.port, server.client()) as client:
            socks(client.say, client.hear)
        with tls_client(proxy.port, server.client()) as client:
            client.connect(port)
        with socket.create_connection((HERE, proxy.port), timeout=LIMIT_S) as plain:
            socks(plain.sendall, plain.recv)
        with socket.create_connection((HERE, proxy.port), timeout=LIMIT_S) as plain:
            plain.sendall(f"CONNECT {HERE}:{port} HTTP/1.1\r\n{LOGIN}\r\n\r\n".encode())
            assert plain.recv(65536).startswith(b"HTTP/1.1 200")

    async with serving(echo) as port:
        await in_thread(all_four)
        await until(none_open(engine))


async def test_a_client_without_tls_is_closed_at_a_port_for_tls_and_logged_once(
    engine: BuiltinEngine, tmp_path: Path
) -> None:
    await engine.start(proxy := record(protocol="http", tls=True))

    def asks_in_the_clear() -> None:
        for _ in range(3):
            with socket.create_connection((HERE, proxy.port), timeout=LIMIT_S) as plain:
                plain.sendall(get(1).encode())
                with suppress(ConnectionResetError):
                    assert plain.recv(100) == b""

    await in_thread(asks_in_the_clear)
    (line,) = lines(tmp_path, "tls.refused")
    assert (line["proxy_id"], line["source"], line["reason"]) == (1, HERE, "the client speaks no TLS")

    async def counted() -> bool:
        return any(each.refused.get("tls") == 3 for each in await engine.usage())

    await until(counted)


async def test_a_hello_may_arrive_byte_by_byte(engine: BuiltinEngine, server: Certificate) -> None:
    await engine.start(proxy := record(tls=True))

    def dribbles() -> None:
        client = TlsClient(proxy.port, server.client())
        with client.sock as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with pytest.raises(ssl.SSLWantReadError):
                client.ssl.do_handshake()
            for byte in client.outgoing.read():
                sock.sendall(bytes([byte]))
            client.shake_hands()
            client.connect(port)

    async with serving(echo) as port:
        await in_thread(dribbles)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\xff\xff" + b"x" * 70_000,
        b"\x16\x03\x01\x00\x05hello",
        b"\x16\x03\x03\x00\x04\x01\xff\xff\xff" * 5_000,
        b"\x16\x03\x01\x00\x00" * 20_000,
        b"\x16" + b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(505) + b"\x17\x03\x03\xff\xff" + bytes(1000),
    ],
)
async def test_garbage_ends_its_connection_and_no_other(
    engine: BuiltinEngine, server: Certificate, garbage: bytes
) -> None:
    await engine.start(proxy := record(tls=True))

    def sends() -> None:
        with tls_client(proxy.port, server.client()) as bystander:
            bystander.connect(port)
            with socket.create_connection((HERE, proxy.port), timeout=LIMIT_S) as sock, suppress(ConnectionError):
                sock.sendall(garbage)
                while sock.recv(65536):
                    pass
            bystander.say(b"still here")
            assert bystander.hear() == b"still here"

    async with serving(echo) as port:
        await in_thread(sends)
        await until(none_open(engine))


async def test_garbage_after_the_handshake_resets_both_sides(engine: BuiltinEngine, server: Certificate) -> None:
    await engine.start(proxy := record(tls=True))
    ends, reads = recording_origin()

    def breaks_off() -> None:
        with tls_client(proxy.port, server.client()) as client:
            client.connect(port)
            assert client.hear() == b"hello"
            client.sock.sendall(b"\x17\x03\x03\x40\xff" + bytes(0x40FF))
            with pytest.raises((ssl.SSLError, ConnectionError)):
                client.hear_all()

    async with serving(reads) as port:
        await in_thread(breaks_off)
        await until(filled(ends))
    assert ends == [ConnectionResetError]


async def test_a_session_is_resumed(engine: BuiltinEngine, server: Certificate) -> None:
    await engine.start(proxy := record(tls=True))
    context = server.client()

    def twice() -> None:
        with tls_client(proxy.port, context) as client:
            client.connect(port)
            session = client.ssl.session
        with tls_client(proxy.port, context, session=session) as client:
            client.connect(port)
            assert client.ssl.session_reused

    async with serving(echo) as port:
        await in_thread(twice)


async def test_a_new_certificate_is_for_new_connections_and_a_bad_one_changes_nothing(
    engine: BuiltinEngine, server: Certificate, tmp_path: Path
) -> None:
    await engine.start(proxy := record(tls=True))
    other = certificate(tmp_path)

    def serves(known: Certificate) -> None:
        with tls_client(proxy.port, known.client()) as client:
            client.connect(port)

    async with serving(echo) as port:
        connected = await asyncio.to_thread(TlsClient, proxy.port, server.client())
        with connected.sock:
            await in_thread(connected.shake_hands)
            await engine.use_certificate(server.chain.read_text() + other.key.read_text())
            await in_thread(lambda: serves(server))
            await engine.use_certificate(pem_of(other))
            await in_thread(lambda: serves(other))
            await in_thread(lambda: connected.connect(port))


async def test_without_a_certificate_a_proxy_with_tls_does_not_start(tmp_path: Path) -> None:
    async with BuiltinEngine(tmp_path / "engine", listen=HERE, workers=1) as engine:
        with pytest.raises(EngineError, match="no certificate for TLS"):
            await engine.start(record(tls=True))
        await engine.halt()


async def test_a_connection_lives_on_while_its_worker_is_replaced(engine: BuiltinEngine, server: Certificate) -> None:
    await engine.start(proxy := record(tls=True))
    async with serving(echo) as port:
        client = TlsClient(proxy.port, server.client())
        with client.sock:
            await in_thread(client.shake_hands)
            await in_thread(lambda: client.connect(port))
            await engine.upgrade()

            def both() -> None:
                client.say(b"old")
                assert client.hear() == b"old"
                with tls_client(proxy.port, server.client()) as new:
                    new.connect(port)
                    new.say(b"new")
                    assert new.hear() == b"new"

            await in_thread(both)


async def test_a_new_worker_serves_with_the_certificate_of_the_one_before_without_an_agent_that_knows_it(
    server: Certificate, tmp_path: Path
) -> None:
    async with BuiltinEngine(tmp_path / "engine", listen=HERE, workers=1, allow_destinations=LOCAL) as engine:
        await engine.use_certificate(pem_of(server))
        await engine.start(proxy := record(tls=True))
    async with (
        BuiltinEngine(tmp_path / "engine", listen=HERE, workers=1, allow_destinations=LOCAL) as other,
        serving(echo) as port,
    ):
        await other.upgrade()

        def connects() -> None:
            with tls_client(proxy.port, server.client()) as client:
                client.connect(port)

        await in_thread(connects)
        await other.halt()


async def test_tiny_records_are_read_to_the_end_and_share_the_worker(
    engine: BuiltinEngine, server: Certificate
) -> None:
    await engine.start(proxy := record(tls=True))
    got: list[bytes] = []

    async def reads(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.read())

    def dribbles() -> None:
        with tls_client(proxy.port, server.client()) as client:
            client.connect(port)
            for number in range(5_000):
                client.ssl.write(bytes([number % 256]))
            client.push()
            client.goodbye()
            assert client.hear_all() == b""

    async with serving(reads) as port:
        await in_thread(dribbles)
    assert got == [bytes(number % 256 for number in range(5_000))]
