"""Proxies of the built-in engine: changed, moved and stopped, each by itself."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from node.engine.builtin.engine import BuiltinEngine
from node.engine.builtin.pool.listeners import open_listener
from node.engine.interface import EngineError
from shared.proxies import ProxyRecord
from tests.clients.streams import HERE, LOCAL, dialled, echo, echoes, free_port, head_of, record, serving, tunnel, until


async def test_stopping_a_proxy_closes_what_is_open_and_leaves_another_alone(engine: BuiltinEngine) -> None:
    await engine.start(doomed := record(1))
    await engine.start(other := record(2))
    async with serving(echo) as port, tunnel(doomed, port) as closing, tunnel(other, port) as staying:
        async with dialled(doomed.port) as (waiting, _), asyncio.timeout(1):
            await until(lambda: opened(engine, 1, 2))
            await engine.stop(1)
            assert await closing[0].read() == b""
            assert await waiting.read() == b""
        assert await echoes(staying)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(HERE, doomed.port)


async def opened(engine: BuiltinEngine, proxy_id: int, count: int) -> bool:
    return (await engine.stats())[proxy_id]["open"] == count  # type: ignore[index]


@pytest.mark.parametrize(
    ("change", "stays"),
    [
        ({"content": 8}, True),
        ({"protocol": "socks5"}, True),
        ({"allow_ips": ("127.0.0.0/8",)}, True),
        ({"username": None, "password": None, "allow_ips": ("127.0.0.1",)}, True),
        ({"allow_ips": ("192.0.2.0/24",)}, False),
        ({"password": "changed"}, False),
        ({"username": "bob"}, False),
        ({"username": None, "password": None}, False),
    ],
)
async def test_an_open_connection_stays_as_long_as_it_satisfies_the_proxy(
    engine: BuiltinEngine, change: dict[str, Any], stays: bool
) -> None:
    await engine.start(proxy := record())
    async with serving(echo) as port, tunnel(proxy, port) as streams:
        changed = ProxyRecord.model_validate(proxy.model_dump() | {"version": 2} | change)
        await engine.start(changed)
        if stays:
            assert await echoes(streams)
        else:
            async with asyncio.timeout(1):
                assert await streams[0].read() == b""


async def test_a_moved_proxy_keeps_the_connections_of_its_old_port(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record())
    async with serving(echo) as port, tunnel(proxy, port) as streams:
        await engine.start(moved := proxy.model_copy(update={"version": 2, "port": free_port()}))
        assert await echoes(streams)
        async with tunnel(moved, port) as others:
            assert await echoes(others)


async def test_a_taken_port_is_told_with_who_has_it(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record(1))
    with pytest.raises(EngineError, match=f"^port {proxy.port} is taken by proxy 1$"):
        await engine.start(record(2, port=proxy.port))
    with socket.create_server((HERE, free_port())) as other:
        taken = other.getsockname()[1]
        with pytest.raises(EngineError, match=f"^port {taken} is taken by another program$"):
            await engine.start(record(2, port=taken))
    assert await engine.running() == {1: 1}


async def test_without_an_address_a_proxy_listens_on_both_families(directory: Path) -> None:
    async with BuiltinEngine(directory, allow_destinations=LOCAL, workers=1) as engine, serving(echo) as port:
        await engine.start(proxy := record(username=None, password=None, allow_ips=("127.0.0.1", "::1")))
        for host in (HERE, "::1"):
            async with dialled(proxy.port, host) as streams:
                streams[1].write(f"CONNECT {HERE}:{port} HTTP/1.1\r\n\r\n".encode())
                assert (await head_of(streams[0])).startswith(b"HTTP/1.1 200")


def test_an_address_of_another_host_is_told() -> None:
    with pytest.raises(EngineError, match=r"192\.0\.2\.1 is not an address of this host"):
        open_listener("192.0.2.1", free_port())
