"""`maybe-node upgrade-engine`: the built-in engine goes on in new processes, and nobody who uses it notices."""

import asyncio
import os
import signal
from pathlib import Path

from node.engine.builtin.pool.directory import home_of
from node.engine.builtin.pool.processes import ask_worker, worker_names, worker_pid
from node.engine.interface import EngineError
from node.errors import NodeError
from node.settings import Settings
from node.state.agent_lock import agent_pid, is_running

LIMIT_S = 120.0
LOOK_S = 0.1


async def upgrade_engine(settings: Settings) -> list[str]:
    """A line a worker. By the agent if it runs, else by itself; raises NodeError."""
    if is_running(settings):
        return await upgraded_by_agent(settings)
    from node.app import upgrade_by_itself  # noqa: PLC0415

    try:
        moved = await upgrade_by_itself(settings)
    except EngineError as error:
        raise NodeError(str(error)) from error
    return [
        f"worker {each.worker}: pid {each.before} gave {each.proxies} proxies and {each.connections} connections to "
        f"pid {each.after}; none waited longer than {each.longest_pause_s * 1000:.0f} ms"
        for each in moved
    ]


async def upgraded_by_agent(settings: Settings) -> list[str]:
    """Asks the agent by a signal and waits until it is done. Raises NodeError."""
    directory, agent = home_of(settings.builtin_dir), agent_pid(settings)
    if agent is None:
        raise NodeError("the agent could not write down its pid: is the disk full? restart the agent when it is not")
    before = worker_pids(directory)
    if not hears(agent, signal.SIGUSR1):
        raise NodeError(
            "the agent that runs is too old for this; restart it: that brings the engine to new code as well"
        )
    os.kill(agent, signal.SIGUSR1)
    try:
        async with asyncio.timeout(LIMIT_S):
            after = await relieved(directory, before)
    except TimeoutError as error:
        raise NodeError(f"not every worker was relieved within {LIMIT_S:.0f} s; the agent's log tells why") from error
    return [f"worker {number}: pid {before.get(number, 0)} was relieved by pid {pid}" for number, pid in after]


async def relieved(directory: Path, before: dict[int, int]) -> list[tuple[int, int]]:
    """(number, pid) of the workers that serve, once none of them is one of those before."""
    while True:
        found = await serving(directory, before)
        if {number for number, _ in found} >= before.keys():
            return found
        await asyncio.sleep(LOOK_S)


async def serving(directory: Path, before: dict[int, int]) -> list[tuple[int, int]]:
    """(number, pid) of the workers that serve; nothing while one of those before does or one does not answer."""
    found: list[tuple[int, int]] = []
    for name in worker_names(directory):
        try:
            told = await ask_worker(directory, name, "list")
        except EngineError:
            return []
        pid = worker_pid(directory, *name)
        if told["state"] == "leaving" or pid is None:
            continue
        if told["state"] == "giving" or pid in before.values():
            return []
        found.append((name.number, pid))
    return found


def worker_pids(directory: Path) -> dict[int, int]:
    """Of the newest process of each number."""
    return {name.number: pid for name in worker_names(directory) if (pid := worker_pid(directory, *name)) is not None}


def hears(pid: int, number: signal.Signals) -> bool:
    """Whether the process handles this signal (proc(5), SigCgt); one that does not would be ended by it."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("SigCgt:"):
            return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False
