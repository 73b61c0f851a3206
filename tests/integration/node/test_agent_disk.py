"""An agent that starts on a disk that is full or read-only serves what its local copy says."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from node.engine.builtin.pool.directory import home_of, name_of
from node.settings import read_settings
from shared.proxies import ProxyRecord
from tests.clients.streams import HERE, free_port
from tests.engines.local_copy import hold
from tests.services.sandbox import SmallDisk, in_child

ROOT = Path(__file__).parents[3]
WAIT_S = 30.0
RECORD = {"id": 1, "version": 1, "content": 1, "protocol": "http", "username": "u", "password": "p"}


class Agent:
    """`maybe-node` over a data directory, without a master."""

    def __init__(self, data: Path) -> None:
        ports = {"NODE_ENROL_PORT": str(free_port()), "NODE_ENROL_HOST": HERE, "NODE_LISTEN": HERE}
        self.environment = {**os.environ, **ports, "NODE_DATA_DIR": str(data), "NODE_WORKERS": "1"}
        self.log = data.parent / "agent.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, descriptors: int = 1024) -> None:
        """With a log of its own."""
        command = ["sh", "-c", f"ulimit -n {descriptors}; exec {sys.executable} -m node"]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=self.environment, stderr=log, stdout=subprocess.DEVNULL
            )

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def order(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "node", *words],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout

    def logs(self, text: str) -> bool:
        return text in self.log.read_text()


def accepts(port: int) -> bool:
    with suppress(OSError), socket.create_connection((HERE, port), 1):
        return True
    return False


def eventually(ask: Callable[[], bool], agent: Agent) -> None:
    limit = time.monotonic() + WAIT_S
    while not ask():
        assert time.monotonic() < limit, agent.log.read_text()
        time.sleep(0.05)


def with_a_proxy(environment: Mapping[str, str], port: int) -> None:
    hold(read_settings(environment), ProxyRecord.model_validate(RECORD | {"port": port, "engine": "builtin"}))


@pytest.mark.parametrize("trouble", ["full", "read-only"])
@pytest.mark.parametrize("before", ["first start", "killed", "booted"])
def test_proxies_run_although_nothing_can_be_written_and_changes_are_taken_when_it_can(
    tmp_path: Path, trouble: str, before: str
):
    def act() -> None:
        disk, port = SmallDisk(tmp_path / "data", "2m"), free_port()
        agent = Agent(disk.path)
        with_a_proxy(agent.environment, port)
        if before != "first start" or trouble == "read-only":
            agent.start()
            eventually(lambda: accepts(port), agent)
            agent.kill()
        if before != "killed":
            agent.order("stop")
        (disk.fill if trouble == "full" else disk.take_no_writes)()
        try:
            agent.start()
            eventually(lambda: accepts(port) and agent.logs("proxy.started"), agent)
            told = agent.order("doctor")
            assert "no change can be stored" in told or "cannot be written" in told
            agent.kill()
            assert accepts(port)
            agent.start()
            eventually(lambda: agent.logs("node.started"), agent)
            (disk.free if trouble == "full" else disk.take_writes)()
            eventually(lambda: agent.logs("store.writable") or not agent.logs("store.unwritable"), agent)
            assert not list(disk.path.glob("copy.db.broken-*"))
        finally:
            agent.kill()
            agent.order("stop")

    in_child(act)


def test_an_agent_without_descriptors_forgets_nothing(tmp_path: Path):
    agent, port = Agent(tmp_path / "data"), free_port()
    with_a_proxy(agent.environment, port)
    try:
        for few in (8, 10, 12):
            agent.start(descriptors=few)
            eventually(lambda: agent.logs("Too many open files") or agent.logs("out of file descriptors"), agent)
            agent.kill()
        agent.order("stop")
        agent.start()
        eventually(lambda: accepts(port), agent)
        assert not list((tmp_path / "data").glob("copy.db.broken-*"))
    finally:
        agent.kill()
        agent.order("stop")


def test_workers_in_memory_are_found_again_when_the_disk_takes_writes(tmp_path: Path):
    def act() -> None:
        disk = SmallDisk(tmp_path / "disk")
        directory, places = disk.path / "builtin", [tmp_path / "memory"]
        places[0].mkdir()
        directory.mkdir()
        (directory / "usage").mkdir()
        disk.take_no_writes()
        home = home_of(directory, places)
        assert home == places[0] / name_of(directory)
        assert (home / "usage").resolve() == directory / "usage"
        disk.take_writes()
        assert home_of(directory, places) == directory

    in_child(act)


def test_a_stand_in_that_another_user_made_is_not_used(tmp_path: Path):
    def act() -> None:
        disk = SmallDisk(tmp_path / "disk")
        directory, places = disk.path / "builtin", [tmp_path / "open", tmp_path / "own"]
        directory.mkdir()
        for place in places:
            place.mkdir()
        (places[0] / name_of(directory)).mkdir(mode=0o777)
        (places[0] / name_of(directory)).chmod(0o777)
        disk.take_no_writes()
        assert home_of(directory, places) == places[1] / name_of(directory)

    in_child(act)
