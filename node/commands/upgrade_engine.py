"""`maybe-node upgrade-engine`: moves all proxies and their connections into new processes with the installed code."""

import asyncio
import os
import signal
from collections.abc import Sequence
from pathlib import Path

from node.commands.options import options
from node.engine.builtin.pool.directory import home_of
from node.engine.builtin.pool.processes import ask_worker, worker_names, worker_pid
from node.engine.interface import EngineError
from node.errors import NodeError
from node.settings import Settings, read_settings
from node.state.agent_lock import agent_pid, is_running
from shared.logs import configure

LIMIT_S = 120.0
CHECK_S = 0.1


def main(arguments: Sequence[str]) -> int:
    """Replace the workers and print a line for each. Raises NodeError."""
    options("upgrade-engine", "Move all proxies into new processes with the installed code.").parse_args(arguments)
    settings = read_settings(os.environ)
    configure(settings.log_level)
    print("\n".join(asyncio.run(upgrade_engine(settings))))
    return 0


async def upgrade_engine(settings: Settings) -> list[str]:
    """Replace the built-in engine's workers, by the agent if it runs, and describe each in a line. Raises NodeError."""
    if is_running(settings):
        return await upgraded_by_agent(settings)
    from node.app import upgrade_without_agent  # noqa: PLC0415

    try:
        moved = await upgrade_without_agent(settings)
    except EngineError as error:
        raise NodeError(str(error)) from error
    return [
        f"worker {each.worker}: moved {each.proxies} proxies and {each.connections} connections from pid {each.before} "
        f"to pid {each.after}; no connection paused longer than {each.longest_pause_s * 1000:.0f} ms"
        for each in moved
    ]


async def upgraded_by_agent(settings: Settings) -> list[str]:
    """Have the running agent replace the workers (SIGUSR1), and wait until it is done. Raises NodeError."""
    directory, agent = home_of(settings.builtin_dir), agent_pid(settings)
    if agent is None:
        raise NodeError("the agent could not write its pid file; free some disk space and restart the agent")
    before = worker_pids(directory)
    if not handles_signal(agent, signal.SIGUSR1):
        raise NodeError("the running agent is too old for this command; restart it, which upgrades the engine as well")
    os.kill(agent, signal.SIGUSR1)
    try:
        async with asyncio.timeout(LIMIT_S):
            after = await replacements(directory, before)
    except TimeoutError as error:
        raise NodeError(f"not every worker was replaced within {LIMIT_S:.0f} s; see the agent's log") from error
    return [f"worker {number}: pid {pid} replaced pid {before.get(number, 0)}" for number, pid in after]


async def replacements(directory: Path, before: dict[int, int]) -> list[tuple[int, int]]:
    """Wait until new processes serve for all workers of `before`; return (number, pid) of each."""
    while True:
        found = await serving_workers(directory, before)
        if {number for number, _ in found} >= before.keys():
            return found
        await asyncio.sleep(CHECK_S)


async def serving_workers(directory: Path, before: dict[int, int]) -> list[tuple[int, int]]:
    """List (number, pid) of the workers; empty while one of `before` still serves or any worker does not answer."""
    found: list[tuple[int, int]] = []
    for name in worker_names(directory):
        try:
            answer = await ask_worker(directory, name, "list")
        except EngineError:
            return []
        pid = worker_pid(directory, *name)
        if answer["state"] == "leaving" or pid is None:
            continue
        if answer["state"] == "giving" or pid in before.values():
            return []
        found.append((name.number, pid))
    return found


def worker_pids(directory: Path) -> dict[int, int]:
    """Map each worker's number to the pid of its newest process."""
    return {name.number: pid for name in worker_names(directory) if (pid := worker_pid(directory, *name)) is not None}


def handles_signal(pid: int, number: signal.Signals) -> bool:
    """Whether the process has a handler for this signal (proc(5), SigCgt); without one the signal would end it."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("SigCgt:"):
            return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False
