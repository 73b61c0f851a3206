"""One 3proxy process: independent of the agent, identified by a pidfd, ended at once."""

import asyncio
import os
import resource
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

from node.engine.interface import EngineError

NAME = "3proxy"
"""argv[0], which distinguishes stray processes of a directory from other programs that were started with the same
file."""

LOG_BYTES = 4 * 1024 * 1024
"""The log of about 150,000 connections that end while no agent reads it."""

GONE_WITHIN_S = 3.0


class Process:
    """A process identified by a pidfd: even if its pid is reused, a signal reaches this process or none.

    It is ended by SIGKILL only. After SIGTERM connections live on for 3-5 s, SIGCONT pauses it and SIGHUP kills it.
    """

    def __init__(self, pid: int, pidfd: int, on_exit: Callable[[Self], None]) -> None:
        """Takes ownership of the pidfd. `on_exit` is called once, in the event loop."""
        self.pid = pid
        self.ended = False
        self._pidfd = pidfd
        self._on_exit = on_exit
        self._gone = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(pidfd, self._exited)

    def end(self) -> None:
        """Close its listener and its connections without waiting."""
        if self.ended or self._gone.is_set():
            return
        self.ended = True
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    async def gone(self) -> None:
        """Wait for the end of the process. Raises EngineError if it takes too long."""
        try:
            async with asyncio.timeout(GONE_WITHIN_S):
                await self._gone.wait()
        except TimeoutError:
            raise EngineError(f"3proxy process {self.pid} was killed but has not ended") from None

    def release(self) -> None:
        """Stop watching the process, which runs on."""
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1

    @property
    def exited(self) -> bool:
        return self._gone.is_set()

    def _exited(self) -> None:
        with suppress(ChildProcessError):  # an adopted process is init's child
            os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG)
        self.release()
        self._gone.set()
        self._on_exit(self)


def spawn(binary: Path, configuration: Path, log: Path) -> tuple[int, int]:
    """Start a process in a session of its own, in the foreground, without the agent's environment. Returns its pid and
    pidfd.

    Its output goes to a file: a pipe would end or block it when the agent that reads it is gone. RLIMIT_FSIZE bounds
    the file; SIGXFSZ stays ignored, as in Python, so a write past the limit just fails. posix_spawn is used because
    processes of asyncio and subprocess are meant to end with their parent. Raises OSError.
    """
    output = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    files = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, os.fspath(log), output, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    argv = [NAME, os.fspath(configuration)]
    before = os.umask(0o077)
    try:
        pid = os.posix_spawn(binary, argv, {}, file_actions=files, setsid=True, setsigmask=())
    finally:
        os.umask(before)
    try:
        pidfd = os.pidfd_open(pid)
        with suppress(ProcessLookupError):
            confine(pid)
    except OSError:
        os.kill(pid, signal.SIGKILL)  # a child that was not waited for: the pid is still its own
        os.waitpid(pid, 0)
        raise
    return pid, pidfd


def confine(pid: int) -> None:
    """Allow as many files as the host does, bound the log, and forbid core files, which could contain passwords."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit, value in (
        (resource.RLIMIT_NOFILE, hard),
        (resource.RLIMIT_FSIZE, LOG_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.prlimit(pid, limit, (value, value))


def boot_id() -> str:
    """The id of this boot of the host: start times of processes are relative to it."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def start_time(pid: int) -> int:
    """The start time of the process, in clock ticks since the boot (field 22 of proc_pid_stat(5)). Raises OSError."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def is_stopped(pid: int) -> bool:
    """Whether a signal has stopped the process (state T, proc_pid_stat(5)); a debugger's stop is state t."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except OSError:
        return False


def open_pidfd(pid: int, is_it: Callable[[int], bool]) -> int | None:
    """A pidfd of the process if `is_it` accepts it. The check runs while the pidfd pins the process, so the result
    stays true."""
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return None
    with suppress(OSError):
        if is_it(pid):
            return pidfd
    os.close(pidfd)
    return None


def arguments(pid: int) -> list[bytes]:
    """Its command line; empty once it has ended. Raises OSError."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]


def is_same_process(start: int, configuration: Path, pid: int) -> bool:
    """Whether the pid still belongs to the process that was started then with that file. Raises OSError."""
    return start_time(pid) == start and os.fsencode(configuration) in arguments(pid)


def configuration_of(pid: int) -> Path | None:
    """The file with which `spawn` started this 3proxy; None for any other program, even one that reads such a file.
    Raises OSError."""
    argv = arguments(pid)
    ours = len(argv) == 2 and argv[0] == NAME.encode() and os.getsid(pid) == pid
    return Path(os.fsdecode(argv[1])) if ours else None


def is_stray(folder: Path, pid: int) -> bool:
    """Whether it is a 3proxy that `spawn` started with a file of that folder. Raises OSError."""
    file = configuration_of(pid)
    return file is not None and file.parent == folder


def all_pids() -> list[int]:
    """The pids of all visible processes."""
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]
