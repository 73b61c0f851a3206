"""`maybe-node upgrade-engine` as an operator uses it: real programs, a real worker, a live connection."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from node.engine.builtin import BuiltinEngine
from node.engine.builtin.process import worker_names, worker_pid
from tests.streams import HERE, LOCAL, echo, echoes, free_port, record, serving, tunnel, until


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
async def agent(data: Path) -> AsyncIterator[None]:
    process = subprocess.Popen([sys.executable, "-m", "node", "run"], env=environment(data), stdout=subprocess.DEVNULL)

    async def runs() -> bool:
        return (data / "agent.pid").exists() and bool((data / "agent.pid").read_text()) and bool(pids(data))

    try:
        await until(runs)
        yield
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
            assert (code, errors) == (0, "")
            assert f"pid {before}" in told
            assert before not in pids(data)
            assert await echoes(streams)
