"""What every engine promises: proxies start and stop, each without touching another."""

import asyncio
import os
import signal
import socket

import pytest

from node.engine.interface import EngineError
from tests.clients.plain import LIMIT_S, PAGE, accepts, fetch, tunnel
from tests.clients.streams import HERE, until
from tests.engines.records import free_port, record
from tests.integration.engines.conftest import OpenEngine
from tests.services.processes import listener_pids


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
