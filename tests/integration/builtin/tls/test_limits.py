"""Limits of proxies, and shares of a worker, hold for clients that speak TLS as for others."""

import asyncio
import socket
import ssl
from contextlib import ExitStack, suppress
from pathlib import Path
from time import monotonic

import pytest

from node.engine.builtin.engine import BuiltinEngine
from tests.clients.http_requests import OK, get
from tests.clients.origins import Certificate
from tests.clients.streams import HERE, LIMIT_S, LOCAL, LOGIN, echo, head_of, record, serving, until
from tests.clients.tls import TlsClient, in_thread, tls_client
from tests.engines.limited import refusals
from tests.engines.tls import none_open, pem_of

STALLED = 1000
FAST_BPS = 8_000_000
BODY = bytes(1 << 20)


async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(BODY)
    with suppress(OSError):  # a proxy whose quota is spent resets the connection
        await writer.drain()
        writer.write_eof()
        await reader.read()


async def test_one_connection_too_many_is_refused_inside_tls(engine: BuiltinEngine, server: Certificate) -> None:
    await engine.start(proxy := record(tls=True, limits={"connections": 1}))

    def two() -> None:
        with tls_client(proxy.port, server.client()) as first, tls_client(proxy.port, server.client()) as second:
            first.connect(port)
            second.say(f"CONNECT {HERE}:{port} HTTP/1.1\r\n{LOGIN}\r\n\r\n".encode())
            assert second.hear_until(b"\r\n\r\n").startswith(b"HTTP/1.1 429")

    async with serving(echo) as port:
        await in_thread(two)


async def test_bandwidth_is_limited_in_both_directions(engine: BuiltinEngine, server: Certificate) -> None:
    await engine.start(proxy := record(tls=True, limits={"bandwidth_bps": FAST_BPS}))
    least_s = len(BODY) * 8 / FAST_BPS - 0.3
    uploaded: list[int] = []

    def downloads() -> None:
        with tls_client(proxy.port, server.client()) as client:
            began = monotonic()
            client.connect(pouring)
            assert len(client.hear_all()) == len(BODY)
            assert monotonic() - began > least_s

    def uploads() -> None:
        with tls_client(proxy.port, server.client()) as client:
            began = monotonic()
            client.connect(counting)
            client.say(BODY)
            client.goodbye()
            assert client.hear_all() == b"done"
            assert monotonic() - began > least_s

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        uploaded.append(len(await reader.read()))
        writer.write(b"done")

    async with serving(pour) as pouring, serving(count) as counting:
        await in_thread(downloads)
        await in_thread(uploads)
    assert uploaded == [len(BODY)]


async def test_a_quota_ends_a_download_where_it_is_spent(engine: BuiltinEngine, server: Certificate) -> None:
    await engine.start(proxy := record(tls=True, limits={"traffic_bytes": 300_000}))

    def downloads() -> None:
        with tls_client(proxy.port, server.client()) as client:
            client.connect(port)
            got = 0
            with suppress(ssl.SSLError, ConnectionError):
                while data := client.hear():
                    got += len(data)
            assert 250_000 < got <= 300_000

    async with serving(pour) as port:
        await in_thread(downloads)
        await until(none_open(engine))


async def test_a_client_that_reads_nothing_holds_back_its_origin_and_gets_everything_in_the_end(
    engine: BuiltinEngine, server: Certificate
) -> None:
    await engine.start(proxy := record(tls=True))
    body = bytes(32 << 20)
    sent = [0]

    async def pours(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for begin in range(0, len(body), 1 << 16):
            writer.write(body[begin : begin + (1 << 16)])
            await writer.drain()
            sent[0] += 1 << 16

    def stalls_then_reads(client: TlsClient) -> None:
        assert len(client.hear_all()) == len(body)

    async with serving(pours) as port:
        client = TlsClient(proxy.port, server.client())
        with client.sock:
            await in_thread(client.shake_hands)
            await in_thread(lambda: client.connect(port))
            seen = -1

            async def stands_still() -> bool:
                nonlocal seen
                before, seen = seen, sent[0]
                return 0 < before == seen

            await until(stands_still)
            assert sent[0] < len(body)
            await in_thread(lambda: stalls_then_reads(client))


async def test_a_thousand_handshakes_that_nobody_finishes_keep_no_client_out(
    engine: BuiltinEngine, server: Certificate
) -> None:
    await engine.start(proxy := record(tls=True))
    hello = TlsClient(proxy.port, server.client())
    with hello.sock, suppress(ssl.SSLWantReadError):
        hello.ssl.do_handshake()
    begun = hello.outgoing.read()

    async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        writer.write(OK)

    def floods_and_asks() -> None:
        with ExitStack() as stalled:
            for number in range(STALLED):
                sock = stalled.enter_context(socket.create_connection((HERE, proxy.port), timeout=LIMIT_S))
                with suppress(ConnectionError):
                    sock.sendall((begun, begun[:5], begun[:-1])[number % 3])
            with tls_client(proxy.port, server.client()) as client:
                client.say(get(port).encode())
                assert client.hear_until(b"ok").startswith(b"HTTP/1.1 200")

    async with serving(answers) as port:
        await in_thread(floods_and_asks)
        await until(none_open(engine))


async def test_clients_in_a_handshake_are_among_those_that_have_not_logged_in(
    tmp_path: Path, server: Certificate
) -> None:
    async with BuiltinEngine(
        tmp_path / "engine", listen=HERE, workers=1, allow_destinations=LOCAL, unadmitted_connections=10
    ) as engine:
        await engine.use_certificate(pem_of(server))
        await engine.start(proxy := record(tls=True))

        async def are_evicted() -> bool:
            return (await refusals(engine, proxy.id)).get("flood", 0) >= 5

        with ExitStack() as stalled:
            for _ in range(30):
                stalled.enter_context(socket.create_connection((HERE, proxy.port), timeout=LIMIT_S)).sendall(
                    b"\x16\3\1"
                )
            await until(are_evicted)
            assert (await engine.stats())[proxy.id]["open"] <= 10
        await engine.halt()


@pytest.mark.long
async def test_a_handshake_that_takes_too_long_is_ended(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record(tls=True))

    def waits() -> None:
        with socket.create_connection((HERE, proxy.port), timeout=2 * LIMIT_S) as sock:
            sock.sendall(b"\x16\3\1\0\x80")
            began = monotonic()
            assert sock.recv(100) == b""
            assert monotonic() - began < 15

    await in_thread(waits)
