"""`maybe-node upgrade-engine` as an operator uses it: real programs, a real worker, a live connection."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from node.engine.builtin.engine import BuiltinEngine
from node.engine.builtin.pool.processes import worker_names, worker_pid
from tests.clients.streams import HERE, LOCAL, echo, echoes, flows_whole, free_port, record, serving, tunnel

START_S = 60.0


@pytest.fixture
async def data(tmp_path: Path) -> AsyncIterator[Path]:
    """A node's data directory; whatever happens, no worker is left in it."""
    yield tmp_path
    await BuiltinEngine(tmp_path / "builtin").halt()


def environment(data: Path) -> dict[str, str]:
    settings = {"NODE_DATA_DIR": str(data), "NODE_LISTEN": HERE, "NODE_WORKERS": "1", "LOG_LEVEL": "warning"}
    return os.environ | settings | {"NODE_ENROL_HOST": HERE, "NODE_ENROL_PORT": str(free_port()), "THREE_PROXY": ""}


def pids(data: Path) -> set[int]:
    return {pid for name in worker_names(data / "builtin") if (pid := worker_pid(data / "builtin", *name))}


async def upgraded(data: Path) -> tuple[int, str, str]:
    """Exit code, output and errors of the command."""
    command = [sys.executable, "-m", "node", "upgrade-engine"]
    done = await asyncio.to_thread(
        subprocess.run, command, env=environment(data), capture_output=True, text=True, check=False, timeout=60
    )
    return done.returncode, done.stdout, done.stderr


@asynccontextmanager
async def agent(data: Path) -> AsyncIterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen([sys.executable, "-m", "node", "run"], env=environment(data), stdout=subprocess.DEVNULL)

    def runs() -> bool:
        return (data / "agent.pid").exists() and (data / "agent.pid").read_text() == f"{process.pid}\n"

    try:
        async with asyncio.timeout(START_S):
            while not runs():
                await asyncio.sleep(0.05)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(process.wait, 20)


@pytest.mark.parametrize("agent_runs", [True, False])
async def test_the_engine_goes_on_in_a_new_process_and_a_live_connection_with_it(data: Path, agent_runs: bool) -> None:
    async with serving(echo) as port:
        async with BuiltinEngine(data / "builtin", listen=HERE, allow_destinations=LOCAL, workers=1) as engine:
            await engine.start(proxy := record())
        (before,) = pids(data)
        async with tunnel(proxy, port) as streams:
            if agent_runs:
                async with agent(data):
                    code, told, errors = await upgraded(data)
            else:
                code, told, errors = await upgraded(data)
            assert (code, "Error" in errors) == (0, False)
            assert f"pid {before}" in told
            assert before not in pids(data)
            assert await echoes(streams)


async def test_an_agent_that_is_killed_under_load_costs_no_byte(data: Path) -> None:
    done = asyncio.Event()
    async with serving(echo) as port, AsyncExitStack() as stack:
        async with BuiltinEngine(data / "builtin", listen=HERE, allow_destinations=LOCAL, workers=1) as engine:
            await engine.start(proxy := record())
        before = pids(data)
        tunnels = [await stack.enter_async_context(tunnel(proxy, port)) for _ in range(8)]
        async with asyncio.TaskGroup() as tasks:
            flows = [tasks.create_task(flows_whole(streams, done)) for streams in tunnels]
            for _ in range(2):
                async with agent(data) as process:
                    process.kill()
            async with agent(data):
                done.set()
        assert all(flow.result() for flow in flows)
        assert pids(data) == before
