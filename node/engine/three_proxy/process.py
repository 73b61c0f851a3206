"""One 3proxy process: started apart from the agent, held by a pidfd, ended at once."""

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
"""argv[0], by which strays of a directory are told from other programs that were given the same file."""

LOG_BYTES = 4 * 1024 * 1024
"""About 150,000 connections that end while nobody reads."""

GONE_WITHIN_S = 3.0


class Process:
    """Held by a pidfd: whatever becomes of the number, a signal reaches this process or none.

    Ended by SIGKILL only. SIGTERM takes 3-5 s, in which connections live on, SIGCONT pauses and SIGHUP kills.
    """

    def __init__(self, pid: int, pidfd: int, on_exit: Callable[[Self], None]) -> None:
        """Takes ownership of the pidfd. `on_exit` is called in the loop, once."""
        self.pid = pid
        self.ended = False
        self._pidfd = pidfd
        self._on_exit = on_exit
        self._gone = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(pidfd, self._exited)

    def end(self) -> None:
        """Closes its listener and its connections without waiting."""
        if self.ended or self._gone.is_set():
            return
        self.ended = True
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    async def gone(self) -> None:
        """Raises EngineError when the kernel does not let go of it."""
        try:
            async with asyncio.timeout(GONE_WITHIN_S):
                await self._gone.wait()
        except TimeoutError:
            raise EngineError(f"3proxy process {self.pid} was killed and does not end") from None

    def release(self) -> None:
        """Lets it run on, unwatched."""
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
    """Pid and pidfd of a process in a session of its own, in the foreground, without the agent's environment.

    Its output goes to a file: a pipe would end or block it when the agent that reads is gone. The file is bounded by
    RLIMIT_FSIZE, and SIGXFSZ stays ignored as Python has it, so a write past the limit just fails.
    posix_spawn, because asyncio's and subprocess's processes are meant to end with their parent. Raises OSError.
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
        os.kill(pid, signal.SIGKILL)  # a child not waited for yet: the number is still its own
        os.waitpid(pid, 0)
        raise
    return pid, pidfd


def confine(pid: int) -> None:
    """As many files as the host allows, a bounded log, and no core file with passwords in it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit, value in (
        (resource.RLIMIT_NOFILE, most),
        (resource.RLIMIT_FSIZE, LOG_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.prlimit(pid, limit, (value, value))


def boot_id() -> str:
    """This boot of the host: start times of processes count from it."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def start_time(pid: int) -> int:
    """When the process started, in clock ticks since the boot (field 22 of proc_pid_stat(5)). Raises OSError."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def open_pidfd(pid: int, is_it: Callable[[int], bool]) -> int | None:
    """A pidfd of the process, if it is the one meant: asked while the pidfd pins it, so the answer stays true."""
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
    """Whether the number still is the process that started then with that file. Raises OSError."""
    return start_time(pid) == start and os.fsencode(configuration) in arguments(pid)


def configuration_of(pid: int) -> Path | None:
    """The file with which `spawn` started this 3proxy; None for any other program, also one that reads such a file.
    Raises OSError."""
    argv = arguments(pid)
    ours = len(argv) == 2 and argv[0] == NAME.encode() and os.getsid(pid) == pid
    return Path(os.fsdecode(argv[1])) if ours else None


def is_stray(folder: Path, pid: int) -> bool:
    """Whether it is a 3proxy that `spawn` started with a file of that folder. Raises OSError."""
    file = configuration_of(pid)
    return file is not None and file.parent == folder


def all_pids() -> list[int]:
    """Every process that can be seen."""
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]
