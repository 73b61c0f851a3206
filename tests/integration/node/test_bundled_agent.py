"""An agent that is started from a bundle's folder, and the commands beside it: real processes, no environment."""

import asyncio
import json
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from node.engine.builtin.pool.processes import worker_names, worker_pid
from node.state.local_copy import CopyChange, StoredProxy
from node.state.store import Store
from shared.enrolment.challenge import read_challenge
from shared.proxies import ProxyRecord
from tests.clients.streams import HERE, echo, echoes, free_port, record, serving, tunnel
from tests.engines.bundles import linked_bundle
from tests.engines.three_proxy_binaries import binaries

READY_S = 30.0
QUEUE = 10


@dataclass
class Installed:
    """A bundle, its data directory, and the datagrams of its agent."""

    command: list[str]
    data: Path
    manager: socket.socket

    @property
    def environment(self) -> dict[str, str]:
        settings = {"NODE_DATA_DIR": str(self.data), "NODE_LISTEN": HERE, "NODE_WORKERS": "1", "LOG_LEVEL": "warning"}
        ports = {"NODE_ENROL_HOST": HERE, "NODE_ENROL_PORT": str(free_port()), "NODE_ALLOW_DESTINATIONS": HERE}
        service = {"NOTIFY_SOCKET": self.manager.getsockname(), "WATCHDOG_USEC": "400000"}
        engines = {"THREE_PROXY": str(binary)} if (binary := next(iter(binaries()), None)) else {}
        return {"PATH": os.defpath, **settings, **ports, **service, **engines}

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*self.command, *words],
            env=self.environment,
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def heard(self, notice: str) -> None:
        """Wait for this notice."""
        while not self.manager.recv(4096).decode().startswith(notice):
            pass

    def drain(self) -> None:
        """Drop all notices so far: the queue holds ten."""
        for _ in range(QUEUE):
            self.manager.recv(4096)

    @asynccontextmanager
    async def agent(self) -> AsyncIterator["subprocess.Popen[bytes]"]:
        """A ready agent; it is ended by SIGTERM unless it has ended."""
        process = subprocess.Popen(self.command, env=self.environment, cwd="/", stdout=subprocess.DEVNULL)
        try:
            await asyncio.to_thread(self.heard, "READY=1")
            yield process
        finally:
            process.terminate()
            await asyncio.to_thread(process.wait, 20)

    def worker(self) -> int | None:
        (name,) = worker_names(self.data / "builtin")
        return worker_pid(self.data / "builtin", *name)


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[Installed]:
    """Whatever happens, no worker is left of it."""
    (data := tmp_path / "data").mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(READY_S)
        made = Installed(linked_bundle(tmp_path / "bundle"), data, manager)
        try:
            yield made
        finally:
            made.run("stop")


def hold(data: Path, *records: ProxyRecord) -> None:
    """Write a local copy that has run these records."""
    store = Store(data / "copy.db")
    held = [StoredProxy(id=one.id, version=1, content=one.content, rec_rev=1, record=one, good=one) for one in records]
    store.write(CopyChange(verdict="taken", rev=1, seen=1, top=1, want={one.id: 1 for one in records}, put=tuple(held)))
    store.mark_good(held)
    store.close()


def statuses(installed: Installed) -> Any:
    return json.loads(installed.run("status", "--json").stdout)


async def test_a_node_without_an_identity_is_ready_once_its_challenge_waits(installed: Installed) -> None:
    async with installed.agent() as agent:
        told = json.loads((await asyncio.to_thread(installed.run, "challenge", "--json")).stdout)
        read_challenge(told["body"]["challenge"])
        described = await asyncio.to_thread(statuses, installed)
        assert (described["version"], described["agent"]["pid"]) == ("9.9.9", agent.pid)
        assert (described["agent"]["link"], described["identity"]) == ("waiting", None)
        assert told["challenge"] not in json.dumps(described)
        assert told["challenge"] in (await asyncio.to_thread(installed.run, "challenge")).stdout
        assert (await asyncio.to_thread(installed.run, "health", "--deep")).returncode == 0
        installed.drain()
    installed.heard("STOPPING=1")
    assert not (installed.data / "status.json").exists()
    gone = await asyncio.to_thread(installed.run, "challenge")
    assert (gone.returncode, "no agent runs" in gone.stderr) == (1, True)


async def test_a_killed_agent_finds_its_worker_and_no_connection_notices(installed: Installed) -> None:
    hold(installed.data, proxy := record(1), other := record(2))
    async with serving(echo) as origin, installed.agent() as agent:
        worker = installed.worker()
        assert worker is not None
        assert b"NOTIFY_SOCKET" not in Path(f"/proc/{worker}/environ").read_bytes()
        async with tunnel(proxy, origin) as streams:
            agent.send_signal(signal.SIGKILL)
            agent.wait()
            kept = await asyncio.to_thread(installed.run, "health", "--deep", "--record", "-")
            assert json.loads(kept.stdout)["ports"].split(",") == sorted(map(str, (proxy.port, other.port)))
            async with installed.agent():
                assert installed.worker() == worker
                assert await echoes(streams)
                await upgraded_and_examined(installed, kept.stdout)
                assert await echoes(streams)


async def upgraded_and_examined(installed: Installed, kept: str) -> None:
    before = installed.worker()
    moved = await asyncio.to_thread(installed.run, "upgrade-engine")
    assert f"replaced pid {before}" in moved.stdout
    (file := installed.data.parent / "ports").write_text(kept)
    healthy = await asyncio.to_thread(installed.run, "health", "--deep", "--against", str(file), "--wait", "20")
    assert (healthy.returncode, healthy.stderr) == (0, "")
    assert "all 2 ports that accepted before accept now" in healthy.stdout


async def test_a_port_that_accepts_no_more_fails_the_deep_health_check_with_a_reason(installed: Installed) -> None:
    hold(installed.data, record(1), lost := record(2))
    with socket.socket() as other:
        other.bind((HERE, lost.port))  # another program has it, and does not listen
        async with installed.agent():
            (file := installed.data.parent / "ports").write_text(json.dumps({"format": 1, "ports": str(lost.port)}))
            sick = await asyncio.to_thread(installed.run, "health", "--deep", "--against", str(file))
            usual = await asyncio.to_thread(installed.run, "health", "--deep")
    assert (sick.returncode, usual.returncode) == (1, 0)
    assert f"1 of 1 ports that accepted before do not accept now: {lost.port}" in sick.stderr


@pytest.mark.skipif(not binaries(), reason="3proxy is neither named by THREE_PROXY nor on PATH")
async def test_proxies_of_3proxy_are_examined_as_well(installed: Installed) -> None:
    hold(installed.data, record(1), other := record(2, engine="3proxy", protocol="http"))
    async with installed.agent():
        kept = await asyncio.to_thread(installed.run, "health", "--deep", "--record", "-")
        assert str(other.port) in kept.stdout
        healthy = await asyncio.to_thread(installed.run, "health", "--deep")
        assert "2 of 2 ports accept" in healthy.stdout
    ended = await asyncio.to_thread(installed.run, "stop")
    assert "1 process of 3proxy" in ended.stdout


async def test_the_event_loop_gives_signs_of_life(installed: Installed) -> None:
    async with installed.agent():
        for _ in range(3):
            await asyncio.to_thread(installed.heard, "WATCHDOG=1")
