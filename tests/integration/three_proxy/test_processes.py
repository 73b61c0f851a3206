"""3proxy processes: adopted, ended, and told from all others."""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from node.engine.interface import Condition
from node.engine.three_proxy.engine import ThreeProxyEngine
from node.engine.three_proxy.listening import has_listener, listener
from node.reconcile.impediments import Impediments
from node.state.store import Store
from tests.clients.plain import ALICE, LIMIT_S, PAGE, accepts, fetch, tunnel
from tests.clients.streams import HERE, until
from tests.engines.records import free_port, record
from tests.engines.three_proxy import opened, processes_of, vanished
from tests.services.processes import listener_pids


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A program that is none of the engine's business."""
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as process:
        yield process
        process.kill()


async def test_the_proxies_of_a_killed_agent_serve_on_and_are_adopted(directory: Path, binary: Path, echo: int) -> None:
    proxy = record(1, protocol="http")
    program = (
        "import asyncio, sys\nfrom pathlib import Path\n"
        "from node.engine.three_proxy.engine import ThreeProxyEngine\nfrom shared.proxies import ProxyRecord\n"
        "async def main():\n"
        "    async with ThreeProxyEngine(Path(sys.argv[1]), binary=Path(sys.argv[2]), listen='127.0.0.1') as engine:\n"
        "        await engine.start(ProxyRecord.model_validate_json(sys.stdin.readline()))\n"
        "        print('started', flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    pipe = asyncio.subprocess.PIPE
    agent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, directory, binary, stdin=pipe, stdout=pipe, cwd=Path(__file__).parents[3]
    )
    assert agent.stdin is not None
    assert agent.stdout is not None
    agent.stdin.write(proxy.model_dump_json().encode() + b"\n")
    async with asyncio.timeout(2 * LIMIT_S):
        assert await agent.stdout.readline() == b"started\n"
    pids = listener_pids(proxy.port)
    async with tunnel(proxy, echo) as stream:
        agent.kill()
        await agent.wait()
        assert await stream.echoes()
        async with opened(directory, binary) as engine:
            assert await engine.running() == {1: 1}
            assert await stream.echoes()
            assert listener_pids(proxy.port) == pids
    await vanished(directory)


@pytest.mark.parametrize("change", [{"started": 1}, {"boot": "another"}, {}])
async def test_a_stale_file_never_leads_to_another_program(
    directory: Path, binary: Path, bystander: subprocess.Popen[bytes], change: dict[str, Any]
) -> None:
    proxy = record(1)
    async with opened(directory, binary) as engine:
        await engine.start(proxy)
        (file,) = directory.glob("*.json")
        stale = json.loads(file.read_text()) | {"pid": bystander.pid} | change
    file.write_text(json.dumps(stale))
    async with opened(directory, binary) as engine:
        assert await engine.running() == {}
        await engine.stop(1)
        await engine.start(proxy)
        assert await engine.running() == {1: 1}
    assert bystander.poll() is None


@pytest.mark.parametrize("damage", [b"", b"{", b"{}", b"\xff", b'{"id": 1}'])
async def test_a_process_whose_state_is_lost_gives_its_port_back(
    directory: Path, binary: Path, page: int, damage: bytes
) -> None:
    proxy = record(1)
    async with opened(directory, binary) as engine, ThreeProxyEngine(directory / "x", binary=binary):
        await engine.start(proxy)
        (file,) = directory.glob("*.json")
        file.write_bytes(damage)
        async with opened(directory, binary) as second:
            assert await second.running() == {}
            await second.start(proxy)
            assert await fetch(proxy, page) == PAGE
            assert len(processes_of(directory)) == 1


@pytest.mark.parametrize(("name", "leads_a_session"), [("cat", True), ("3proxy", False)])
async def test_another_program_with_a_file_of_the_engine_is_left_alone(
    directory: Path, binary: Path, name: str, leads_a_session: bool
) -> None:
    directory.mkdir(mode=0o700)
    os.mkfifo(directory / "1-0.cfg")
    reader = await asyncio.create_subprocess_exec(
        name, directory / "1-0.cfg", executable=shutil.which("cat"), start_new_session=leads_a_session
    )
    async with opened(directory, binary):
        assert Path(f"/proc/{reader.pid}/cmdline").read_bytes().startswith(name.encode())
    reader.kill()
    await reader.wait()


def test_a_descriptor_that_was_used_again_is_not_the_listener() -> None:
    with socket.create_server((HERE, free_port())) as first, socket.create_server((HERE, free_port())) as second:
        descriptor, name = listener(os.getpid(), first.getsockname()[1])
        assert has_listener(os.getpid(), descriptor, name)
        os.dup2(second.fileno(), descriptor)
        assert not has_listener(os.getpid(), descriptor, name)


async def test_files_that_a_crash_left_behind_are_removed(directory: Path, binary: Path) -> None:
    directory.mkdir(mode=0o700)
    for name in ("1-aa.cfg", "1-aa.log", "1.json", "1.json.new"):
        (directory / name).write_text("left behind")
    async with opened(directory, binary):
        assert list(directory.iterdir()) == []


async def test_a_stopped_or_failed_proxy_leaves_no_file_and_no_process(directory: Path, binary: Path) -> None:
    async with opened(directory, binary) as engine:
        await engine.start(proxy := record(1))
        await engine.start(proxy.model_copy(update={"version": 2, "port": free_port()}))
        assert len(list(directory.iterdir())) == 3
        await engine.stop(1)
        assert list(directory.iterdir()) == []
        assert processes_of(directory) == []


async def test_many_proxies_start_and_stop_side_by_side(directory: Path, binary: Path, page: int) -> None:
    proxies = [record(number) for number in range(1, 41)]
    async with opened(directory, binary) as engine:
        async with asyncio.TaskGroup() as tasks:
            for proxy in proxies:
                tasks.create_task(engine.start(proxy))
        assert await engine.running() == {proxy.id: 1 for proxy in proxies}
        assert [await fetch(proxy, page) for proxy in proxies] == [PAGE] * len(proxies)
        await engine.halt()
        assert await engine.running() == {}


async def test_changes_to_one_proxy_follow_one_another(directory: Path, binary: Path, page: int) -> None:
    proxy = record(1)
    async with opened(directory, binary) as engine:
        async with asyncio.TaskGroup() as tasks:
            for number in range(2, 8):
                tasks.create_task(engine.start(proxy.model_copy(update={"version": number, "password": f"p{number}"})))
        assert await engine.running() == {1: 7}
        assert await fetch(proxy, page, (ALICE[0], "p7")) == PAGE
        assert len(processes_of(directory)) == 1


async def test_a_paused_3proxy_does_not_count_as_running_and_a_start_mends_it(
    directory: Path, binary: Path, page: int
) -> None:
    async with opened(directory, binary) as engine:
        await engine.start(proxy := record(1))
        (pid,) = listener_pids(proxy.port)
        os.kill(pid, signal.SIGCONT)

        async def gone() -> bool:
            return await engine.running() == {}

        await until(gone)
        await engine.start(proxy)
        assert await engine.running() == {1: 1}
        assert await fetch(proxy, page) == PAGE
        assert processes_of(directory) != [pid]


async def test_a_process_that_a_signal_has_stopped_is_failed_with_the_remedy(
    directory: Path, binary: Path, tmp_path: Path
) -> None:
    """It keeps its listener, but nobody accepts there. SIGCONT does not help: 3proxy takes it for its own pause."""
    async with opened(directory, binary) as engine:
        await engine.start(proxy := record(1))
        (pid,) = listener_pids(proxy.port)
        impediments = Impediments(Store(tmp_path / "copy.db").load(), {"3proxy": engine}, None)
        await impediments.refresh_conditions()
        assert impediments.of(proxy) is None
        os.kill(pid, signal.SIGSTOP)

        async def reported() -> bool:
            await impediments.refresh_conditions()
            return impediments.of(proxy) == Condition(
                "failed",
                f"3proxy process {pid} was stopped by a signal: "
                f"end it (kill -KILL {pid}), and the agent starts another",
            )

        await until(reported)
        assert listener_pids(proxy.port) == {pid}
        os.kill(pid, signal.SIGKILL)

        async def gone() -> bool:
            return not await engine.running() and not await engine.conditions()

        await until(gone)


async def test_an_ended_process_is_told_even_when_it_was_adopted(directory: Path, binary: Path) -> None:
    told = asyncio.Event()
    proxy = record(1, protocol="http")
    async with ThreeProxyEngine(directory, binary=binary, listen=HERE) as first:
        await first.start(proxy)
    async with opened(directory, binary, on_change=told.set):
        (pid,) = listener_pids(proxy.port)
        os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(LIMIT_S):
            await told.wait()
        assert not await accepts(proxy.port)


async def test_a_process_that_the_engine_ends_is_no_change(directory: Path, binary: Path) -> None:
    changes: list[None] = []
    async with opened(directory, binary, on_change=lambda: changes.append(None)) as engine:
        await engine.start(proxy := record(1))
        await engine.start(proxy.model_copy(update={"version": 2, "password": "changed"}))
        await engine.stop(1)
    assert changes == []
