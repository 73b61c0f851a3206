"""Workers are forked off a process that is kept for that, and need it no more once they live."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest

from node.commands.stop import builtin_pids
from node.engine.builtin.engine import BuiltinEngine
from node.engine.builtin.pool.processes import worker_names, worker_pid
from node.engine.interface import EngineError
from tests.clients.streams import HERE, LIMIT_S, echo, echoes, record, serving, tunnel, until
from tests.services.processes import is_running, name_of, parents


def worker(directory: Path) -> int:
    """The newest."""
    pid = worker_pid(directory, *worker_names(directory)[-1])
    assert pid is not None
    return pid


def zygote(directory: Path) -> int:
    return parents()[worker(directory)]


async def gone(pid: int) -> None:
    async def ended() -> bool:
        return pid not in parents()

    await until(ended)


async def serves(engine: BuiltinEngine) -> bool:
    return await engine.running() == {1: 1}


async def test_a_worker_that_dies_is_back_though_the_zygote_has_died_too(
    engine: BuiltinEngine, directory: Path
) -> None:
    await engine.start(proxy := record())
    os.kill(zygote(directory), signal.SIGKILL)
    async with serving(echo) as port:
        async with tunnel(proxy, port) as streams:
            assert await echoes(streams)
        os.kill(worker(directory), signal.SIGKILL)
        await until(lambda: serves(engine))
        async with tunnel(proxy, port) as streams:
            assert await echoes(streams)


async def test_a_stopped_zygote_is_replaced_when_it_is_needed(engine: BuiltinEngine, directory: Path) -> None:
    await engine.start(record())
    stopped = zygote(directory)
    os.kill(stopped, signal.SIGSTOP)
    os.kill(worker(directory), signal.SIGKILL)
    await until(lambda: serves(engine))
    assert zygote(directory) != stopped
    await gone(stopped)


async def test_code_that_does_not_start_relieves_nobody_and_dead_workers_still_come_back(
    engine: BuiltinEngine, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await engine.start(record())
    before = worker(directory)
    monkeypatch.setattr("node.engine.builtin.pool.spawner._BOOTSTRAP", Path("/nowhere"))
    with pytest.raises(EngineError, match="does not start"):
        await engine.upgrade()
    assert worker(directory) == before
    os.kill(before, signal.SIGKILL)
    await until(lambda: serves(engine))


async def test_an_upgrade_forks_off_a_new_zygote(engine: BuiltinEngine, directory: Path) -> None:
    before = zygote(directory)
    await engine.upgrade()
    assert zygote(directory) != before
    await gone(before)


async def test_the_zygote_ends_with_its_engine_and_the_worker_lives_on(directory: Path) -> None:
    async with BuiltinEngine(directory, listen=HERE, workers=1):
        left, pid = zygote(directory), worker(directory)
        assert name_of(pid) == "maybe-worker-0"
    assert not is_running(left)
    assert is_running(pid)


async def test_the_zygote_ends_with_an_agent_that_was_killed(directory: Path) -> None:
    program = (
        "import asyncio, pathlib, sys; from node.engine.builtin.engine import BuiltinEngine\n"
        "async def main():\n"
        "    async with BuiltinEngine(pathlib.Path(sys.argv[1]), workers=1): await asyncio.sleep(60)\n"
        "asyncio.run(main())"
    )
    with subprocess.Popen([sys.executable, "-c", program, directory], stdout=subprocess.DEVNULL) as agent:

        async def up() -> bool:
            return bool(worker_names(directory))

        await until(up)
        left, pid = zygote(directory), worker(directory)
        agent.kill()
    await gone(left)
    assert is_running(pid)


async def nothing_is_left(directory: Path) -> None:
    async def none() -> bool:
        return builtin_pids(directory) == []

    await until(none)


@pytest.mark.parametrize("moment_s", [0.0, 0.02, 0.05, 0.08, 0.1, 0.11, 0.12, 0.14, 0.17, 0.2])
async def test_an_engine_whose_opening_is_given_up_can_be_halted_and_leaves_no_process(
    directory: Path, moment_s: float
) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(moment_s), BuiltinEngine(directory, listen=HERE, workers=2):
            await asyncio.sleep(LIMIT_S)
    await BuiltinEngine(directory).halt()
    await nothing_is_left(directory)


@pytest.mark.parametrize("moment_ms", range(0, 24, 2))
async def test_a_worker_that_starts_while_its_engine_is_left_does_not_stay_unknown(
    directory: Path, moment_ms: int
) -> None:
    async with BuiltinEngine(directory, listen=HERE, workers=2):
        for pid in [worker_pid(directory, *name) for name in worker_names(directory)]:
            assert pid
            os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(moment_ms / 1000)
    await BuiltinEngine(directory).halt()
    await nothing_is_left(directory)


async def test_workers_have_nothing_open_that_the_agent_was_started_with(directory: Path) -> None:
    """Whoever reads the other end of a pipe would wait for its end as long as they live."""
    with tempfile.TemporaryFile() as stray:
        os.set_inheritable(stray.fileno(), True)
        async with BuiltinEngine(directory, listen=HERE, workers=1):
            assert os.fstat(stray.fileno()).st_ino not in open_files(worker(directory))


def open_files(pid: int) -> set[int]:
    """Their inodes."""
    found: set[int] = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            found.add(descriptor.stat().st_ino)
    return found


async def test_workers_see_nothing_of_the_agents_environment(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "hidden")
    async with BuiltinEngine(directory, listen=HERE, workers=1):
        shown = Path(f"/proc/{worker(directory)}/environ").read_bytes()
    assert b"hidden" not in shown
