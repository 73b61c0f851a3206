"""`maybe-node stop`: ends all processes that run proxies of a data directory, even if the directory was removed."""

import asyncio
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from node.commands.options import options
from node.engine.builtin.engine import BuiltinEngine
from node.engine.builtin.pool.processes import end_process
from node.engine.builtin.pool.processes import is_ours as is_builtin
from node.engine.three_proxy.engine import ThreeProxyEngine
from node.engine.three_proxy.process import all_pids, arguments, configuration_of, is_stray, open_pidfd
from node.engine.three_proxy.state import STEM
from node.errors import NodeError
from node.settings import Settings, read_settings
from node.state.agent_lock import is_running
from shared.logs import configure

THREE_PROXY = "3proxy"
"""Folder of the 3proxy engine in a data directory."""
PATIENCE_S = 3.0
"""Time that a process has to end before it is killed."""


def main(arguments: Sequence[str]) -> int:
    """End the processes and print how many there were. Raises NodeError."""
    options("stop", "End every proxy of NODE_DATA_DIR. The agent must not run.").parse_args(arguments)
    settings = read_settings(os.environ)
    configure(settings.log_level)
    print("\n".join(asyncio.run(stop_proxies(settings)).lines()))
    return 0


@dataclass(frozen=True, kw_only=True)
class Ended:
    """Numbers of the processes that were ended, and other data directories whose proxies still run for this user."""

    builtin: int
    three_proxy: int
    others: tuple[Path, ...]

    def lines(self) -> Iterator[str]:
        """Describe the result for a person."""
        counts = ((self.builtin, "of the built-in engine"), (self.three_proxy, "of 3proxy"))
        found = [f"{count} {'process' if count == 1 else 'processes'} {engine}" for count, engine in counts if count]
        yield f"ended {' and '.join(found)}" if found else "nothing was running"
        for directory in self.others:
            yield f"proxies of another data directory still run; to end them: NODE_DATA_DIR={directory} maybe-node stop"


async def stop_proxies(settings: Settings) -> Ended:
    """End the processes of both engines; their counters are kept on disk. Raises NodeError while the agent runs."""
    if is_running(settings):
        raise NodeError("the agent is running and would start its proxies again; stop it first")
    builtin, three_proxy = settings.data_dir / "builtin", settings.data_dir / THREE_PROXY
    workers, others = builtin_pids(builtin), three_proxy_pids(three_proxy)
    await BuiltinEngine(builtin).halt()
    if others or three_proxy.exists():
        # Halting starts no process, so the binary may be missing by now.
        async with ThreeProxyEngine(three_proxy, binary=settings.three_proxy or Path("3proxy")) as engine:
            await engine.halt()
    # Left are zygotes without an agent, and workers whose lock files were removed with the directory.
    async with asyncio.TaskGroup() as tasks:
        for pid in builtin_pids(builtin):
            tasks.create_task(end_process(pid, patience=PATIENCE_S))
    return Ended(builtin=len(workers), three_proxy=len(others), others=other_directories(settings.data_dir))


def builtin_pids(directory: Path) -> list[int]:
    """Find the workers and zygotes that were started for that directory, whether it still exists or not."""
    return [pid for pid in all_pids() if _is(partial(is_builtin, directory), pid)]


def three_proxy_pids(directory: Path) -> list[int]:
    """Find the 3proxy processes that were started with a configuration of that directory."""
    return [pid for pid in all_pids() if _is(partial(is_stray, directory), pid)]


def other_directories(data_dir: Path) -> tuple[Path, ...]:
    """Find other data directories whose proxies run for this user."""
    folders = {folder for pid in all_pids() if (folder := _folder_of(pid)) is not None}
    return tuple(sorted({folder.parent for folder in folders} - {data_dir}))


def _folder_of(pid: int) -> Path | None:
    """Return the engine's folder in its data directory; None for any other process."""
    try:
        if os.stat(f"/proc/{pid}").st_uid != os.geteuid():
            return None
        if is_builtin(None, pid):
            return Path(os.fsdecode(arguments(pid)[-1]))
        file = configuration_of(pid)
    except (OSError, IndexError):
        return None  # it has ended meanwhile
    return file.parent if file is not None and file.parent.name == THREE_PROXY and STEM.fullmatch(file.stem) else None


def _is(matches: partial[bool], pid: int) -> bool:
    """Whether this process is one of this user and matches; False once it has ended."""
    try:
        if os.stat(f"/proc/{pid}").st_uid != os.geteuid():
            return False
    except OSError:
        return False
    pidfd = open_pidfd(pid, matches)
    if pidfd is None:
        return False
    os.close(pidfd)
    return True
