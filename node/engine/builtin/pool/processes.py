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
"""Part of the command line of zygotes and workers: the path of `bootstrap.py` stands before the last argument, the
directory after it."""


def connect_worker(directory: Path, index: int, generation: int = 0) -> socket.socket | None:
    """A connection to the worker of that name if it lives, refused to a process of another user.

    Through a descriptor of the directory: a path of a socket may have 107 bytes (unix(7)).
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    place = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        connection.connect(f"/proc/self/fd/{place}/{WorkerName(index, generation).socket}")
        if peer(connection)[1] == os.geteuid():
            return connection
    except (FileNotFoundError, ConnectionRefusedError, BlockingIOError):
        pass
    finally:
        os.close(place)
    connection.close()
    return None


async def ask_worker(directory: Path, name: WorkerName, op: str) -> Any:
    """One question by somebody who is not the agent. Raises EngineError."""
    connection = connect_worker(directory, *name)
    if connection is None:
        raise EngineError(f"{name.stem} of the built-in engine is not running")
    link = ControlClient(connection, heard=_nothing, lost=_nothing)
    try:
        return await link.call(op, timeout=_ANSWER_S)
    except (LostError, UnansweredError, RefusedError) as error:
        raise EngineError(f"{name.stem} of the built-in engine does not answer") from error
    finally:
        link.close()


def _nothing() -> None:
    pass


def worker_names(directory: Path) -> list[WorkerName]:
    """Of the workers that live there, older generations of one before newer ones."""
    names = [worker_name(path.stem) for path in directory.glob("worker-*.lock")]
    return sorted(name for name in names if name is not None and worker_pid(directory, *name))


def worker_pid(directory: Path, index: int, generation: int = 0) -> int | None:
    """Who holds that worker's lock, as the kernel knows it (fcntl(2), F_GETLK); asked even while it does not answer."""
    try:
        lock = os.open(directory / WorkerName(index, generation).lock, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        held = fcntl.fcntl(lock, fcntl.F_GETLK, _LOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    finally:
        os.close(lock)
    kind, _, _, _, pid = _LOCK.unpack(held)
    return None if kind == fcntl.F_UNLCK else pid


def is_ours(directory: Path | None, pid: int) -> bool:
    """Whether a process was started by this engine for that directory, or for any; the directory may be removed.

    Raises OSError when it has ended.
    """
    argv = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]
    ours = len(argv) == len(ARGUMENTS) + 3 and tuple(map(os.fsdecode, argv[1:3] + argv[4:5])) == ARGUMENTS
    return ours and (directory is None or argv[-1] == os.fsencode(directory))


def ended(pid: int) -> bool:
    """Whether there is no such process any more. Does not wait."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return _reaped(pid, otherwise=False)


async def reap(pid: int, *, patience: float) -> bool:
    """Waits for the end of a process and takes its exit status if it was this one's child; False: it lives on."""
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
    """SIGTERM, and after `patience` seconds SIGKILL, which also ends what is stopped; returns when it is gone."""
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
    """Whether the process of this pidfd ended within that time."""
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
    """Takes the exit status, if it was this one's child; `otherwise` for one that was not."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return otherwise
