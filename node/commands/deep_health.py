"""`maybe-node health --deep`: examines agent, workers and proxies from outside, without broker and master."""

import asyncio
import os
import socket
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from node.commands.owner import act_as_owner
from node.commands.port_record import READ_LIMIT, BadPortRecord, read, written
from node.data_directory import DataDirectory
from node.doctor.local_copy import inspect_copy
from node.engine.builtin.build_id import build_id
from node.engine.builtin.frames import WorkerName
from node.engine.builtin.pool.directory import home_of
from node.engine.builtin.pool.processes import ask_worker, worker_names
from node.engine.interface import EngineError
from node.errors import NodeError
from node.state.agent_lock import agent_pid, is_running
from node.state.status_file import AgentStatus, NoStatus, read_status
from shared.doctor.findings import Finding, ok, problem, some
from shared.tasks import for_each

CONNECT_S = 2.0
AT_ONCE = 64
LOOK_S = 25.0
"""Longest time of one examination."""
AGAIN_S = 0.5
LOG = "see the agent's log (journalctl -u maybe-node)"


class Examination:
    """Examines the node of a data directory, as its owner."""

    def __init__(self, files: DataDirectory, env: Mapping[str, str]) -> None:
        """Raises OSError."""
        self._files, self._env = files, env
        # Read before root gives up its rights: the owner of the data need not be able to read the program.
        self._build = build_id()

    def record(self, target: str) -> int:
        """Write which ports accept now. Raises NodeError."""
        try:
            # Opened before root gives up its rights, since the file may be in a folder of root.
            descriptor = os.dup(1) if target == "-" else os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        except OSError as error:
            raise NodeError(f"{target} cannot be written: {error.strerror}") from error
        with os.fdopen(descriptor, "w") as file:
            act_as_owner(self._files)
            accepting = asyncio.run(accepting_ports(self._address(status_or_none(self._files)), self._ports()))
            file.write(written(accepting))
        return 0

    def judge(self, before: str | None, *, wait_s: float) -> int:
        """Print what is wrong and return the exit code, at the latest after `wait_s` and one examination.

        `before` is the file of a record. Raises NodeError.
        """
        recorded = read_record(before) if before is not None else None
        act_as_owner(self._files)
        limit = time.monotonic() + wait_s
        while True:
            findings = asyncio.run(self._look(recorded))
            problems = [each for each in findings if each.level == "problem"]
            if not problems or time.monotonic() >= limit:
                break
            time.sleep(AGAIN_S)
        for each in findings:
            print(each, file=sys.stderr if each in problems else sys.stdout)
        return 1 if problems else 0

    async def _look(self, recorded: frozenset[int] | None) -> list[Finding]:
        try:
            async with asyncio.timeout(LOOK_S):
                status = status_or_none(self._files)
                return [
                    agent_finding(self._files),
                    *await worker_findings(self._files, self._build),
                    await self._port_finding(status, recorded),
                ]
        except TimeoutError:
            return [problem("health", f"the examination took longer than {LOOK_S:g} s", "look at the load of the host")]

    async def _port_finding(self, status: AgentStatus | None, recorded: frozenset[int] | None) -> Finding:
        ports = self._ports()
        accepting = await accepting_ports(self._address(status), ports)
        if recorded is not None:
            return compared(recorded, ports, accepting)
        return counted(status.proxies.running if status is not None else 0, ports, accepting)

    def _ports(self) -> Sequence[int]:
        """Return the ports of all proxies in the local copy. Raises NodeError."""
        copy = inspect_copy(self._files.copy_file, live=is_running(self._files))
        if copy.state not in ("whole", "none"):
            raise NodeError(f"the local copy {self._files.copy_file} cannot be read: {copy.reason}; {LOG}")
        return sorted(set(copy.ports.values()))

    def _address(self, status: AgentStatus | None) -> str:
        """Return the address at which the proxies of this host answer."""
        listen = self._env.get("NODE_LISTEN") or (status.listen if status is not None else "")
        return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(listen, listen)


def read_record(path: str) -> frozenset[int]:
    """Read the file of a record. Raises NodeError."""
    try:
        with Path(path).open("rb") as file:
            return read(file.read(READ_LIMIT + 1))
    except OSError as error:
        raise NodeError(f"{path} cannot be read: {error.strerror}") from error
    except BadPortRecord as error:
        raise NodeError(f"{path} is no record of ports: {error}") from error


def status_or_none(files: DataDirectory) -> AgentStatus | None:
    """Read the agent's status, if it has one."""
    try:
        return read_status(files.status_file)
    except NoStatus:
        return None


def agent_finding(files: DataDirectory) -> Finding:
    """Examine the agent: it runs, and its status is its own and says that it is ready."""
    if not is_running(files):
        return problem("agent", f"no agent runs with {files.data_dir}", f"start it; {LOG}")
    try:
        status = read_status(files.status_file)
    except NoStatus as error:
        return problem("agent", str(error), LOG)
    if status.pid != agent_pid(files):
        return problem(
            "agent", f"{files.status_file} is of an earlier agent", f"wait until the agent has started; {LOG}"
        )
    if not status.ready:
        return problem("agent", "has not started all proxies of its local copy yet", f"wait; {LOG}")
    return ok("agent", f"ready, version {status.version}, pid {status.pid}")


async def worker_findings(files: DataDirectory, build: str) -> list[Finding]:
    """Examine the workers of the built-in engine: each number has one that serves, with the installed code."""
    directory = home_of(files.builtin_dir)
    states: dict[WorkerName, tuple[str, str]] = {}
    found: list[Finding] = []
    for name in worker_names(directory):
        try:
            answer = await ask_worker(directory, name, "list")
            states[name] = answer["state"], answer.get("build", "")
        except EngineError as error:
            found.append(problem("workers", str(error), f"wait; if it stays, restart the agent; {LOG}"))
    found += filter(None, (worker_problem(name, states, build) for name in states))
    return found or [ok("workers", f"{len(states)} run")]


def worker_problem(name: WorkerName, states: Mapping[WorkerName, tuple[str, str]], build: str) -> Finding | None:
    """Judge one worker. A predecessor may be `leaving`: it ends with its last connection."""
    state, its_build = states[name]
    if state == "leaving":
        return None
    if state == "giving" or any(other > name and other.number == name.number for other in states):
        return problem("workers", f"{name.stem} is in the middle of a handover", f"wait; {LOG}")
    if its_build != build:
        text = f"{name.stem} runs other code than is installed"
        return problem("workers", text, f"wait; if it stays, run `maybe-node upgrade-engine`; {LOG}")
    return None


def compared(before: frozenset[int], ports: Collection[int], accepting: Collection[int]) -> Finding:
    """Compare with a record. Ports of proxies that were removed or moved meanwhile do not count."""
    due = sorted(before.intersection(ports))
    lost = [port for port in due if port not in accepting]
    if lost:
        text = f"{len(lost)} of {len(due)} ports that accepted before do not accept now: {some(lost)}"
        return problem("proxies", text, f"ask the agent why: {LOG}")
    return ok("proxies", f"all {len(due)} ports that accepted before accept now")


def counted(running: int, ports: Collection[int], accepting: Collection[int]) -> Finding:
    """Compare with the number of proxies that run according to the agent."""
    silent = [port for port in ports if port not in accepting]
    if len(accepting) < running:
        text = f"{running} proxies run according to the agent, but {len(accepting)} accept; not at ports {some(silent)}"
        return problem("proxies", text, f"restart the agent; {LOG}")
    return ok("proxies", f"{len(accepting)} of {len(ports)} ports accept")


async def accepting_ports(address: str, ports: Collection[int]) -> set[int]:
    """Try every port, and return those that accept."""
    found: set[int] = set()

    async def attempt(port: int) -> None:
        if await accepts(address, port):
            found.add(port)

    await for_each(ports, attempt, at_once=AT_ONCE)
    return found


async def accepts(address: str, port: int) -> bool:
    """Whether the port accepts a connection, which is closed at once."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with suppress(OSError, TimeoutError), socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as client:
        async with asyncio.timeout(CONNECT_S):
            await asyncio.get_running_loop().sock_connect(client, (address, port))
        return True
    return False
