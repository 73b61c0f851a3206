"""Has workers forked from a zygote, a process that is kept ready for that."""

import asyncio
import json
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

import structlog

from node.engine.builtin.frames import WorkerName
from node.engine.builtin.pool.processes import ARGUMENTS, connect_worker, end_process, ended

_INHERITED = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "LOCALDOMAIN", "RES_OPTIONS")
"""The variables that workers inherit of the agent's environment, which may contain secrets."""

_BOOTSTRAP = Path(__file__).parents[1] / "bootstrap.py"
_LOG = "zygote.log"
_LOG_MAX = 1024 * 1024
START_S = 10.0
_ANSWER_S = 2.0
_END_S = 1.0
_POLL_S = 0.001
_ANSWER_MAX = 64

_log = structlog.get_logger(__name__)


class Spawner:
    """Keeps one zygote at a time, with the code that was on disk when it was started, and replaces one that has
    died."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._zygote: _Zygote | None = None
        self._lock = asyncio.Lock()

    async def prepare(self) -> None:
        """Start a zygote, so that the first worker that dies is replaced without a wait."""
        try:
            async with self._lock:
                if self._zygote is None:
                    self._zygote = await _start_zygote(self._directory)
        except OSError as error:
            _log.error("zygote.start_failed", reason=str(error))

    async def renew(self) -> None:
        """Start a new zygote with the code on disk. Raises OSError; workers are then still forked with the earlier
        code."""
        async with self._lock:
            before, self._zygote = self._zygote, await _start_zygote(self._directory)
            if before is not None:
                await before.end()

    async def start(self, name: WorkerName) -> int:
        """Fork a worker and return its pid. Its session is its own, so that nothing that ends the agent ends it.

        Raises OSError.
        """
        _rotate_log(self._directory / name.log)
        async with self._lock:
            if self._zygote is not None:
                try:
                    return await self._fork(self._zygote, name)
                except OSError as error:
                    _log.warning("zygote.replaced", reason=str(error))
            self._zygote = await _start_zygote(self._directory)
            return await self._fork(self._zygote, name)

    async def connect(self, name: WorkerName, *, start: bool) -> tuple[socket.socket, bool]:
        """Connect to this worker, and return whether it had to be started. Raises OSError, TimeoutError.

        A process that was started but never reached is ended, because others can only find it once it has its lock.
        """
        pid = 0
        try:
            async with asyncio.timeout(START_S):
                while (connection := connect_worker(self._directory, *name)) is None:
                    if not start:
                        raise OSError("it is gone")
                    if not pid:
                        pid = await self.start(name)
                    elif ended(pid):
                        pid = 0
                        raise OSError("it ended at once; see its log")
                    await asyncio.sleep(_POLL_S)
        except BaseException:
            if pid:
                await end_process(pid, patience=_POLL_S)
            raise
        return connection, pid > 0

    async def close(self) -> None:
        """End the zygote; workers keep running."""
        async with self._lock:
            await self._end()

    async def _fork(self, zygote: "_Zygote", name: WorkerName) -> int:
        """Fork a worker. If the answer is not awaited, the zygote is ended, or the next call would read it. Raises
        OSError."""
        try:
            return await zygote.fork(name)
        except BaseException:
            await self._end()
            raise

    async def _end(self) -> None:
        if self._zygote is not None:
            await self._zygote.end()
            self._zygote = None


class _Zygote:
    """The agent's connection to a zygote."""

    def __init__(self, pid: int, connection: socket.socket) -> None:
        self.pid = pid
        self._connection = connection
        connection.setblocking(False)

    async def ready(self) -> None:
        """Raises OSError."""
        await self._answer(START_S)

    async def fork(self, name: WorkerName) -> int:
        """Fork a worker and return its pid. Raises OSError; this zygote cannot be used afterwards."""
        self._connection.send(json.dumps(name).encode())
        try:
            pid = int(await self._answer(_ANSWER_S))
        except asyncio.CancelledError:
            await self._end_late_worker()
            raise
        if pid < 0:
            raise OSError(-pid, os.strerror(-pid))
        return pid

    async def _end_late_worker(self) -> None:
        """End a worker that is being forked for a caller that has stopped waiting."""
        with suppress(OSError):
            pid = int(await self._answer(_END_S))
            if pid > 0:
                await end_process(pid, patience=_POLL_S)

    async def end(self) -> None:
        self._connection.close()
        await end_process(self.pid, patience=_END_S)

    async def _answer(self, seconds: float) -> bytes:
        try:
            async with asyncio.timeout(seconds):
                answer = await asyncio.get_running_loop().sock_recv(self._connection, _ANSWER_MAX)
        except TimeoutError as error:
            raise OSError("the process that forks workers does not answer") from error
        if not answer:
            raise OSError(f"the process that forks workers has ended; see {_LOG}")
        return answer


async def _start_zygote(directory: Path) -> _Zygote:
    """Start a zygote, and wait until it is ready. Raises OSError."""
    _rotate_log(directory / _LOG)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        try:
            zygote = _Zygote(_spawn(directory, theirs), ours)
        except OSError:
            ours.close()
            raise
    try:
        await zygote.ready()
    except BaseException:
        await zygote.end()
        raise
    return zygote


def _spawn(directory: Path, connection: socket.socket) -> int:
    """Spawn the process with the connection as its standard input, and return its pid. Raises OSError."""
    isolated, without_site, module = ARGUMENTS
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return os.posix_spawn(
        sys.executable,
        [sys.executable, isolated, without_site, str(_BOOTSTRAP), module, str(directory)],
        {name: os.environ[name] for name in _INHERITED if name in os.environ} | _no_bytecode(),
        file_actions=[
            (os.POSIX_SPAWN_DUP2, connection.fileno(), 0),
            (os.POSIX_SPAWN_OPEN, 1, str(directory / _LOG), flags, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigmask=[],
        setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGHUP],
    )


def _no_bytecode() -> dict[str, str]:
    """Return the variable by which the agent's own `python -B` counts for its workers, too."""
    return {"PYTHONDONTWRITEBYTECODE": "1"} if sys.dont_write_bytecode else {}


def _rotate_log(log: Path) -> None:
    """Start a new log if it has grown too long; the previous one is kept."""
    if log.exists() and log.stat().st_size > _LOG_MAX:
        log.replace(log.with_suffix(".log.old"))
