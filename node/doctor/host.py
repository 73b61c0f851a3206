"""Facts about the host for the doctor; collecting them changes nothing."""

import ctypes
import errno
import os
import resource
import socket
from contextlib import suppress
from pathlib import Path

from node.doctor.findings import FolderFacts, listening_ports
from node.engine.builtin.pool.processes import worker_names, worker_pid

TIME_ERROR = 5
"""Result of adjtimex(2) while the clock is not synchronised."""
TIMEX_BYTES = 256
"""More than the size of struct timex on any system. All zeros read the clock and set nothing."""


def folder_at(path: Path) -> FolderFacts:
    """Collect the facts about a directory; for a missing one, whether it could be created."""
    if not path.is_dir():
        parent = next(each for each in path.parents if each.exists())
        return FolderFacts(
            path=str(path), exists=False, writable=not path.exists() and os.access(parent, os.W_OK | os.X_OK)
        )
    room = os.statvfs(path)
    return FolderFacts(
        path=str(path),
        exists=True,
        writable=os.access(path, os.R_OK | os.W_OK | os.X_OK),
        mode=path.stat().st_mode & 0o777,
        free_bytes=room.f_bavail * room.f_frsize,
        free_files=room.f_favail if room.f_files else 1,
    )


def file_limits(pid: int | None) -> tuple[int, int]:
    """Return the (soft, hard) limit on open files of that process, or of this one if this user may not read it."""
    with suppress(OSError):
        return resource.prlimit(pid or os.getpid(), resource.RLIMIT_NOFILE)
    return resource.getrlimit(resource.RLIMIT_NOFILE)


def bind_failure(host: str, port: int) -> int:
    """Bind a socket for a moment, without listening, and return the errno; 0 on success."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
    except OSError as error:
        return error.errno or errno.EIO
    return 0


def clock_synchronised() -> bool | None:
    """Whether the kernel calls the clock synchronised (adjtimex(2)); None when it does not answer."""
    try:
        answer = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))
    except (OSError, AttributeError):
        return None
    return None if answer < 0 else answer != TIME_ERROR


def worker_states(directory: Path) -> dict[int, str]:
    """Map the pid of each living worker to its state letter (proc(5))."""
    pids = {pid for name in worker_names(directory) if (pid := worker_pid(directory, *name)) is not None}
    stats = {pid: read_text(Path(f"/proc/{pid}/stat")) for pid in pids}
    return {pid: stat.rpartition(")")[2].split()[0] for pid, stat in stats.items() if stat}


def all_listening() -> set[int]:
    """List the TCP ports on which any program of this host listens."""
    return listening_ports(read_text(Path("/proc/net/tcp"))) | listening_ports(read_text(Path("/proc/net/tcp6")))


def has_global_ipv6() -> bool:
    """Whether an address has global scope (00) and is not unique local (fc00::/7)."""
    rows = [line.split() for line in read_text(Path("/proc/net/if_inet6")).splitlines()]
    return any(row[3] == "00" and not row[0].startswith(("fc", "fd")) for row in rows)


def read_text(path: Path) -> str:
    """Read a file; empty when this kernel lacks it or this user may not read it."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""
