"""One worker as the agent sees it: found or started, connected, watched, and what it runs."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog

from node.engine import EngineError
from node.engine.builtin.link import Link, LostError, RefusedError, UnansweredError
from node.engine.builtin.process import bury, connect_worker, reaped, start_worker

CALL_S = 4.0
START_S = 10.0
_LOOK_S = 0.01
_STEADY_S = 10.0
_PAUSES_S = (0.0, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Before a worker that keeps dying is started again; from the beginning once one has lived for a while."""

_log = structlog.get_logger(__name__)


class WorkerGoneError(EngineError):
    """There is no such process, so nothing runs in it."""


class Worker:
    """`ports` is what it runs, by proxy; 0 for one that is on its way there. `configuration` is told to whatever
    process is found or started.

    `changed` is called when it died, came back, or answers again after it did not. One that is not `permanent` was
    left by an engine with more workers: it goes on with what it has, but is not started again.
    """

    def __init__(
        self,
        directory: Path,
        index: int,
        changed: Callable[[], None],
        *,
        permanent: bool,
        configuration: Mapping[str, Any],
    ) -> None:
        self.index = index
        self.permanent = permanent
        self.pid = 0
        self.ports: dict[int, int] = {}
        self.settled = asyncio.Event()
        self.stuck = False
        self._directory = directory
        self._changed = changed
        self._configuration = configuration
        self._link: Link | None = None
        self._ended = asyncio.Event()
        self._woken = asyncio.Event()

    @property
    def name(self) -> str:
        return f"worker {self.index} (pid {self.pid})"

    @property
    def alive(self) -> bool:
        """Whether it can be given orders, as far as is known."""
        return self._link is not None and self.settled.is_set()

    async def keep(self) -> None:
        """Sees to it that the worker runs, for as long as it is not cancelled; the worker itself lives on then."""
        attempt = 0
        try:
            while True:
                began = time.monotonic()
                await self._run()
                if not self.permanent:
                    return
                attempt = 0 if time.monotonic() - began > _STEADY_S else min(attempt + 1, len(_PAUSES_S) - 1)
                await asyncio.sleep(_PAUSES_S[attempt])
        finally:
            self._disconnect()

    async def call(self, op: str, *, fds: Sequence[int] = (), **fields: Any) -> Any:
        """Raises EngineError, which names the worker; at once while an earlier order is still unanswered."""
        link = self._link
        if link is None:
            raise WorkerGoneError(f"worker {self.index} of the built-in engine is not running")
        if self.stuck:
            raise EngineError(f"{self.name} of the built-in engine does not answer")
        try:
            return await link.call(op, fds=fds, timeout=CALL_S, **fields)
        except UnansweredError as error:
            self.stuck = True
            _log.warning("worker.stuck", worker=self.index, pid=self.pid)
            raise EngineError(f"{self.name} of the built-in engine does not answer") from error
        except LostError as error:
            raise WorkerGoneError(f"{self.name} of the built-in engine has died") from error
        except RefusedError as error:
            raise EngineError(f"{self.name} of the built-in engine: {error}") from error

    async def listening(self) -> dict[int, int]:
        """Versions by proxy of what takes connections at this moment. Raises EngineError."""
        told: list[tuple[int, int, int]] = (await self.call("list"))["proxies"]
        for id_, _, port in told:
            self.ports.setdefault(id_, port)
        return {id_: version for id_, version, _ in told}

    async def _run(self) -> None:
        """From finding or starting it to its end."""
        try:
            await self._connect()
        except (OSError, TimeoutError) as error:
            _log.error("worker.start_failed", worker=self.index, reason=str(error) or "it took too long")
            self.settled.set()
            return
        await self._learn()
        self.settled.set()
        self._changed()
        await self._watch()
        self._disconnect()
        await bury(self.pid, patience=_LOOK_S * 100)
        _log.warning("worker.died", worker=self.index, pid=self.pid)
        self._changed()

    async def _connect(self) -> None:
        """Raises OSError, TimeoutError."""
        started = 0
        async with asyncio.timeout(START_S):
            while (connection := connect_worker(self._directory, self.index)) is None:
                if not self.permanent:
                    raise OSError("it is gone")
                if not started:
                    started = start_worker(self._directory, self.index)
                elif reaped(started):
                    raise OSError("it ended at once; its log tells why")
                await asyncio.sleep(_LOOK_S)
        self._ended.clear()
        self.stuck = False
        self._link = Link(connection, heard=self._heard, lost=self._lost)
        self.pid = self._link.pid
        _log.info("worker.started" if started else "worker.adopted", worker=self.index, pid=self.pid)

    async def _learn(self) -> None:
        """What it runs; what is on its way there meanwhile stays noted."""
        await self._configure()
        noted = {id_ for id_, port in self.ports.items() if port}
        try:
            told = {id_: port for id_, _, port in (await self.call("list"))["proxies"]}
        except EngineError as error:
            _log.warning("worker.silent", worker=self.index, pid=self.pid, reason=str(error))
            return
        self.ports |= told
        for id_ in noted - told.keys():
            self.ports.pop(id_, None)

    async def _configure(self) -> None:
        try:
            await self.call("configure", **self._configuration)
        except EngineError as error:
            _log.warning("worker.not_configured", worker=self.index, pid=self.pid, reason=str(error))

    async def _watch(self) -> None:
        """Until it has died; learns anew what it runs when it answers after it did not."""
        while not self._ended.is_set():
            await self._woken.wait()
            self._woken.clear()
            if not self._ended.is_set():
                await self._learn()
                self._changed()

    def _heard(self) -> None:
        if self.stuck:
            self.stuck = False
            self._woken.set()

    def _lost(self) -> None:
        self._ended.set()
        self._woken.set()

    def _disconnect(self) -> None:
        self.ports = {}
        self.settled.clear()
        if self._link is not None:
            self._link.close()
            self._link = None
