"""Has workers forked off a zygote, a process that is kept at hand for that."""

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
"""All that workers get to see of the agent's environment, which may hold secrets."""

_BARE = Path(__file__).parents[1] / "bootstrap.py"
_LOG = "zygote.log"
_LOG_MAX = 1024 * 1024
START_S = 10.0
_ANSWER_S = 2.0
_END_S = 1.0
_LOOK_S = 0.001
_LONGEST = 64

_log = structlog.get_logger(__name__)


class Spawner:
    """One zygote at a time, with the code that was on disk when it was started; another one where that has died."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._zygote: _Zygote | None = None
        self._turn = asyncio.Lock()

    async def prepare(self) -> None:
        """So that the first worker that dies need not wait."""
        try:
            async with self._turn:
                if self._zygote is None:
                    self._zygote = await _born(self._directory)
        except OSError as error:
            _log.error("zygote.start_failed", reason=str(error))

    async def renew(self) -> None:
        """From now on workers have the code as it is on disk now. Raises OSError; then they have what they had."""
        async with self._turn:
            before, self._zygote = self._zygote, await _born(self._directory)
            if before is not None:
                await before.end()

    async def start(self, name: WorkerName) -> int:
        """The pid of a new worker, in a session of its own so that nothing that ends the agent ends it.

        Raises OSError.
        """
        _turn_over(self._directory / name.log)
        async with self._turn:
            if self._zygote is not None:
                try:
                    return await self._fork(self._zygote, name)
                except OSError as error:
                    _log.warning("zygote.replaced", reason=str(error))
            self._zygote = await _born(self._directory)
            return await self._fork(self._zygote, name)

    async def reach(self, name: WorkerName, *, start: bool) -> tuple[socket.socket, bool]:
        """A connection to this worker, and whether it had to be started. Raises OSError, TimeoutError.

        A process that was started and never connected is ended: nothing may know of it before it has its lock.
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
                        raise OSError("it ended at once; its log tells why")
                    await asyncio.sleep(_LOOK_S)
        except BaseException:
            if pid:
                await end_process(pid, patience=_LOOK_S)
            raise
        return connection, pid > 0

    async def close(self) -> None:
        """The workers live on."""
        async with self._turn:
            await self._end()

    async def _fork(self, zygote: "_Zygote", name: WorkerName) -> int:
        """One whose answer was not waited for is ended: it would be taken for that of the next. Raises OSError."""
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
    """The agent's end."""

    def __init__(self, pid: int, connection: socket.socket) -> None:
        self.pid = pid
        self._connection = connection
        connection.setblocking(False)

    async def ready(self) -> None:
        """Raises OSError."""
        await self._answer(START_S)

    async def fork(self, name: WorkerName) -> int:
        """The new worker's pid. Raises OSError; then this one is of no use any more."""
        self._connection.send(json.dumps(name).encode())
        try:
            pid = int(await self._answer(_ANSWER_S))
        except asyncio.CancelledError:
            await self._take_back()
            raise
        if pid < 0:
            raise OSError(-pid, os.strerror(-pid))
        return pid

    async def _take_back(self) -> None:
        """End the worker that is being forked for somebody who has stopped waiting."""
        with suppress(OSError):
            pid = int(await self._answer(_END_S))
            if pid > 0:
                await end_process(pid, patience=_LOOK_S)

    async def end(self) -> None:
        self._connection.close()
        await end_process(self.pid, patience=_END_S)

    async def _answer(self, seconds: float) -> bytes:
        try:
            async with asyncio.timeout(seconds):
                answer = await asyncio.get_running_loop().sock_recv(self._connection, _LONGEST)
        except TimeoutError as error:
            raise OSError("the process that workers are forked off does not answer") from error
        if not answer:
            raise OSError(f"the process that workers are forked off ended; {_LOG} tells why")
        return answer


async def _born(directory: Path) -> _Zygote:
    """Once it can be forked. Raises OSError."""
    _turn_over(directory / _LOG)
    mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with its:
        try:
            zygote = _Zygote(_spawned(directory, its), mine)
        except OSError:
            mine.close()
            raise
    try:
        await zygote.ready()
    except BaseException:
        await zygote.end()
        raise
    return zygote


def _spawned(directory: Path, connection: socket.socket) -> int:
    """Its pid; the connection is its standard input. Raises OSError."""
    isolated, without_site, module = ARGUMENTS
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return os.posix_spawn(
        sys.executable,
        [sys.executable, isolated, without_site, str(_BARE), module, str(directory)],
        {name: os.environ[name] for name in _INHERITED if name in os.environ},
        file_actions=[
            (os.POSIX_SPAWN_DUP2, connection.fileno(), 0),
            (os.POSIX_SPAWN_OPEN, 1, str(directory / _LOG), flags, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigmask=[],
        setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGHUP],
    )


def _turn_over(log: Path) -> None:
    """Begins a new one where it has grown too long; one is kept beside it."""
    if log.exists() and log.stat().st_size > _LOG_MAX:
        log.replace(log.with_suffix(".log.old"))
