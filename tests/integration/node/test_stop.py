"""`maybe-node` as an operator ends it: real programs, real processes."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from node.commands.stop import builtin_pids, three_proxy_pids
from node.engine.builtin.engine import BuiltinEngine
from node.engine.builtin.pool.processes import worker_names, worker_pid
from node.engine.builtin.pool.spawner import _start_zygote
from node.engine.three_proxy.engine import ThreeProxyEngine
from tests.clients.streams import HERE, LOCAL, free_port, record, until
from tests.engines.three_proxy_binaries import binaries
from tests.services.processes import is_running


@pytest.fixture
async def data(tmp_path: Path) -> AsyncIterator[Path]:
    """A node's data directory; whatever happens, no process is left of it."""
    folder = tmp_path / "node"
    yield folder
    await asyncio.to_thread(command, folder, "stop")
    assert builtin_pids(folder / "builtin") == []


def environment(data: Path) -> dict[str, str]:
    settings = {"NODE_DATA_DIR": str(data), "NODE_LISTEN": HERE, "NODE_WORKERS": "1", "THREE_PROXY": ""}
    return os.environ | settings | {"NODE_ENROL_HOST": HERE, "NODE_ENROL_PORT": str(free_port()), "LOG_LEVEL": "error"}


def command(data: Path, *words: str) -> str:
    """What `maybe-node` prints."""
    call = [sys.executable, "-m", "node", *words]
    return subprocess.run(call, env=environment(data), capture_output=True, text=True, check=True, timeout=60).stdout


async def started(data: Path) -> int:
    """The pid of a worker that runs a proxy, with no agent."""
    async with BuiltinEngine(data / "builtin", listen=HERE, allow_destinations=LOCAL, workers=1) as engine:
        await engine.start(record())
    (name,) = worker_names(data / "builtin")
    pid = worker_pid(data / "builtin", *name)
    assert pid is not None
    return pid


async def gone(pid: int) -> None:
    async def ended() -> bool:
        return not is_running(pid)

    await until(ended)


async def test_stop_ends_the_workers_and_says_so(data: Path) -> None:
    data.mkdir()
    pid = await started(data)
    assert "ended 1 process of the built-in engine" in await asyncio.to_thread(command, data, "stop")
    await gone(pid)
    assert (await asyncio.to_thread(command, data, "stop")).startswith("nothing was running\n")


async def test_stop_finds_a_worker_whose_data_directory_was_removed(data: Path) -> None:
    data.mkdir()
    pid = await started(data)
    shutil.rmtree(data)
    assert "ended 1 process of the built-in engine" in await asyncio.to_thread(command, data, "stop")
    await gone(pid)


async def started_three_proxy(data: Path) -> int:
    """The pid of a 3proxy that runs a proxy, with no agent."""
    if not binaries():
        pytest.skip("3proxy is neither named by THREE_PROXY nor on PATH")
    async with ThreeProxyEngine(data / "3proxy", binary=binaries()[0], listen=HERE) as engine:
        await engine.start(record(engine="3proxy"))
    [pid] = three_proxy_pids(data / "3proxy")
    return pid


@pytest.mark.parametrize("removed", [False, True], ids=["kept", "removed"])
async def test_stop_ends_3proxy_whether_its_data_directory_was_removed_or_not(data: Path, removed: bool) -> None:
    data.mkdir()
    pid = await started_three_proxy(data)
    if removed:
        shutil.rmtree(data)
    assert "ended 1 process of 3proxy" in await asyncio.to_thread(command, data, "stop")
    await gone(pid)


async def test_stop_names_the_data_directory_of_another_3proxy_and_leaves_it_alone(data: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    for folder in (data, other):
        folder.mkdir()
    pid = await started_three_proxy(other)
    assert f"NODE_DATA_DIR={other} maybe-node stop" in await asyncio.to_thread(command, data, "stop")
    assert is_running(pid)
    await asyncio.to_thread(command, other, "stop")
    await gone(pid)


async def test_stop_ends_no_program_that_only_looks_like_a_proxy(data: Path) -> None:
    """One of another session, and one that reads an engine's file."""
    data.mkdir()
    folder, file = data / "builtin", data / "3proxy" / "1-2.cfg"
    code = [sys.executable, "-c", "import time; time.sleep(60)"]
    others = [subprocess.Popen([*code, str(folder)]), subprocess.Popen([*code, str(file)])]
    try:
        assert (await asyncio.to_thread(command, data, "stop")).startswith("nothing was running\n")
        assert [other.poll() for other in others] == [None, None]
    finally:
        for other in others:
            other.kill()
            other.wait()


async def test_stop_ends_a_zygote_that_was_left_behind(data: Path) -> None:
    (data / "builtin").mkdir(parents=True)
    zygote = await _start_zygote(data / "builtin")
    assert "ended 1 process of the built-in engine" in await asyncio.to_thread(command, data, "stop")
    await gone(zygote.pid)
    await zygote.end()


async def test_stop_leaves_other_data_directories_alone_and_names_them(data: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    for folder in (data, other):
        folder.mkdir()
    pid = await started(other)
    assert f"NODE_DATA_DIR={other} maybe-node stop" in await asyncio.to_thread(command, data, "stop")
    assert is_running(pid)
    await asyncio.to_thread(command, other, "stop")
    await gone(pid)


async def test_an_agent_ended_by_ctrl_c_says_that_its_proxies_go_on_and_how_to_end_them(data: Path) -> None:
    agent = subprocess.Popen([sys.executable, "-m", "node"], env=environment(data), stderr=subprocess.PIPE, text=True)

    async def works() -> bool:
        return bool(worker_names(data / "builtin")) if data.exists() else False

    await until(works)
    agent.send_signal(signal.SIGINT)
    _, errors = await asyncio.to_thread(agent.communicate, timeout=30)
    assert agent.returncode == 0
    assert f"Its proxies keep running; to end them as well: NODE_DATA_DIR={data} maybe-node stop" in errors


@pytest.mark.parametrize("program", ["node", "master"])
def test_each_program_tells_its_version(program: str, tmp_path: Path) -> None:
    call = [sys.executable, "-m", program, "--version"]
    done = subprocess.run(call, env=environment(tmp_path), capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.startswith(f"maybe-{program} 0.")
