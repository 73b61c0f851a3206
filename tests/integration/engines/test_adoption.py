"""What every engine promises: opened again it finds what runs, and halted it leaves nothing."""

from contextlib import AsyncExitStack

from tests.clients.plain import ALICE, PAGE, accepts, fetch, tunnel
from tests.engines.records import record
from tests.integration.engines.conftest import OpenEngine
from tests.services.processes import listener_pids


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
