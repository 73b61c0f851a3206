"""Finds and ends worker processes."""

import asyncio
import fcntl
import os
import signal
import socket
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

from node.engine.builtin.frames import WorkerName, peer, worker_name
from node.engine.builtin.pool.control_client import ControlClient, LostError, RefusedError, UnansweredError
from node.engine.interface import EngineError

_LOCK = struct.Struct("hhqqi")
"""struct flock of 64-bit Linux: type, whence, start, length, pid."""

_ANSWER_S = 4.0

ARGUMENTS = ("-I", "-S", "node.engine.builtin.worker.zygote")
"""Part of the command line of zygotes and workers: the path of `bootstrap.py` precedes the last, the directory follows
it."""


def connect_worker(directory: Path, index: int, generation: int = 0) -> socket.socket | None:
    """Connect to the worker of that name; None if it does not run, or runs as another user.

    The path goes through a descriptor of the directory, because a socket's path may have 107 bytes (unix(7)).
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    handle = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        connection.connect(f"/proc/self/fd/{handle}/{WorkerName(index, generation).socket}")
        if peer(connection)[1] == os.geteuid():
            return connection
    except (FileNotFoundError, ConnectionRefusedError, BlockingIOError):
        pass
    finally:
        os.close(handle)
    connection.close()
    return None


async def ask_worker(directory: Path, name: WorkerName, op: str) -> Any:
    """Ask a worker from outside the agent. Raises EngineError."""
    connection = connect_worker(directory, *name)
    if connection is None:
        raise EngineError(f"{name.stem} of the built-in engine is not running")
    client = ControlClient(connection, heard=_nothing, lost=_nothing)
    try:
        return await client.call(op, timeout=_ANSWER_S)
    except (LostError, UnansweredError, RefusedError) as error:
        raise EngineError(f"{name.stem} of the built-in engine does not answer") from error
    finally:
        client.close()


def _nothing() -> None:
    pass


def worker_names(directory: Path) -> list[WorkerName]:
    """The names of running workers, older generations before newer ones."""
    names = [worker_name(path.stem) for path in directory.glob("worker-*.lock")]
    return sorted(name for name in names if name is not None and worker_pid(directory, *name))


def worker_pid(directory: Path, index: int, generation: int = 0) -> int | None:
    """The process that holds a worker's lock (fcntl(2), F_GETLK), found even if it does not answer."""
    try:
        lock = os.open(directory / WorkerName(index, generation).lock, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        lock_state = fcntl.fcntl(lock, fcntl.F_GETLK, _LOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    finally:
        os.close(lock)
    kind, _, _, _, pid = _LOCK.unpack(lock_state)
    return None if kind == fcntl.F_UNLCK else pid


def is_ours(directory: Path | None, pid: int) -> bool:
    """Whether a process was started by this engine for that directory, or for any; the directory may have been removed.

    Raises OSError if it has ended.
    """
    argv = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]
    ours = len(argv) == len(ARGUMENTS) + 3 and tuple(map(os.fsdecode, argv[1:3] + argv[4:5])) == ARGUMENTS
    return ours and (directory is None or argv[-1] == os.fsencode(directory))


def ended(pid: int) -> bool:
    """Whether the process has ended. Does not wait."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return _reaped(pid, otherwise=False)


async def reap(pid: int, *, patience: float) -> bool:
    """Wait for the end of a process, and reap it if it was a child. False if it is still running."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        gone = await _gone(handle, patience)
    finally:
        os.close(handle)
    return gone and _reaped(pid, otherwise=True)


async def end_process(pid: int, *, patience: float) -> None:
    """Send SIGTERM and, after `patience` seconds, SIGKILL, which also ends stopped processes. Returns when the process
    is gone."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, number)
            if await reap(pid, patience=patience):
                return
    finally:
        os.close(handle)


async def _gone(handle: int, seconds: float) -> bool:
    """Whether the process of this pidfd ends within that time."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(handle, ended.set)
    try:
        async with asyncio.timeout(seconds):
            await ended.wait()
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(handle)
    return True


def _reaped(pid: int, *, otherwise: bool) -> bool:
    """Reap the process if it is a child; `otherwise` is returned if it is not."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return otherwise
