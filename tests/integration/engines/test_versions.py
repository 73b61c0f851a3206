"""What every engine promises: a new version takes the place of the old one."""

import asyncio

import pytest

from tests.clients.plain import ALICE, LIMIT_S, PAGE, RefusedError, accepts, fetch, tunnel
from tests.engines.records import free_port, record
from tests.integration.engines.conftest import OpenEngine


@pytest.mark.parametrize("way", ["connect", "socks5"])
async def test_a_new_version_takes_the_new_password_and_refuses_the_old(
    open_engine: OpenEngine, page: int, way: str
) -> None:
    async with open_engine() as engine:
        await engine.start(proxy := record(1))
        await engine.start(proxy.model_copy(update={"version": 2, "password": "changed"}))
        assert await engine.running() == {1: 2}
        assert await fetch(proxy, page, (ALICE[0], "changed"), way=way) == PAGE

        async def is_refused() -> None:
            with pytest.raises(RefusedError):
                await fetch(proxy, page, ALICE, way=way)

        # At once, since the answer to each further wrong login comes later.
        async with asyncio.TaskGroup() as tasks:
            for _ in range(8):
                tasks.create_task(is_refused())


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
