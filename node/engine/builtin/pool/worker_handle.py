"""One worker as the agent sees it: found or started, connected, watched, and what it runs."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import structlog

from node.engine.builtin.frames import PROTOCOL, WorkerName
from node.engine.builtin.pool.batches import BatchEntry, Batches
from node.engine.builtin.pool.context import Listeners, PoolContext, RecordFields, WorkerGoneError
from node.engine.builtin.pool.control_client import ControlClient, LostError, RefusedError, UnansweredError
from node.engine.builtin.pool.processes import reap
from node.engine.builtin.pool.restoring import recall, restore
from node.engine.builtin.pool.spawner import START_S
from node.engine.interface import EngineError

CALL_S = 4.0
_BURY_S = 1.0
_STEADY_S = 10.0
_PAUSES_S = (0.0, 0.0, 0.5, 1.0, 2.0, 5.0)
"""Before a worker that keeps dying is started again; from the beginning once one has lived for a while."""
_TRUSTED = 2
"""Deaths in a row after which what it ran is not put back at once: some of it may be what kills it."""

_log = structlog.get_logger(__name__)


class WorkerHandle:
    """`ports` is what it listens on, by proxy; () for one that is on its way there. `records` is what it was
    given and shall run again when it has died.

    One that is not `permanent` is not started again: it was left by an engine with more workers, or another process
    takes over.
    """

    def __init__(
        self,
        place: PoolContext,
        name: WorkerName,
    ) -> None:
        self.name = name
        self.permanent = False
        self.pid = 0
        self.build = ""
        self.state = ""
        self.ports: dict[int, tuple[int, ...]] = {}
        self.records: dict[int, RecordFields] = {}
        self.settled = asyncio.Event()
        self.stuck = False
        self._place = place
        self._link: ControlClient | None = None
        self._ended = asyncio.Event()
        self._woken = asyncio.Event()
        self._batches = Batches(self.put_together)

    @property
    def index(self) -> int:
        return self.name.number

    def __str__(self) -> str:
        return f"worker {self.index} (pid {self.pid})"

    @property
    def alive(self) -> bool:
        """Whether it can be given orders, as far as is known."""
        return self._link is not None and self.settled.is_set() and not self._ended.is_set()

    def has(self, proxy_id: int) -> bool:
        """Whether it runs this proxy or will again."""
        return proxy_id in self.ports or proxy_id in self.records

    async def keep(self, *, start: bool = True) -> None:
        """Sees to it that the worker runs, for as long as it is not cancelled; the worker itself lives on then."""
        attempt = 0
        try:
            while True:
                began = time.monotonic()
                await self._run(start=start)
                if not self.permanent:
                    self._give_up()
                    return
                attempt = 0 if time.monotonic() - began > _STEADY_S else min(attempt + 1, len(_PAUSES_S) - 1)
                if attempt > _TRUSTED:
                    self._give_up()
                await asyncio.sleep(_PAUSES_S[attempt])
                start = True
        finally:
            self._disconnect()

    async def up(self) -> None:
        """One that has just died is on its way back, and has its ports in hand meanwhile. Raises EngineError."""
        try:
            async with asyncio.timeout(START_S):
                await self.settled.wait()
        except TimeoutError as error:
            raise EngineError(f"{self} of the built-in engine does not start") from error

    async def call(self, op: str, *, fds: Sequence[int] = (), timeout: float = CALL_S, **fields: Any) -> Any:
        """Raises EngineError, which names the worker; at once while an earlier order is still unanswered."""
        link = self._link
        if link is None:
            raise WorkerGoneError(f"worker {self.index} of the built-in engine is not running")
        if self.stuck:
            raise EngineError(f"{self} of the built-in engine does not answer")
        try:
            return await link.call(op, fds=fds, timeout=timeout, **fields)
        except UnansweredError as error:
            self.stuck = True
            _log.warning("worker.stuck", worker=self.index, pid=self.pid)
            raise EngineError(f"{self} of the built-in engine does not answer") from error
        except LostError as error:
            raise WorkerGoneError(f"{self} of the built-in engine has died") from error
        except RefusedError as error:
            raise EngineError(f"{self} of the built-in engine: {error}") from error

    async def put(self, told: RecordFields, listeners: Listeners = ()) -> bool:
        """Whether it runs this record now; False: it takes other listeners. Raises EngineError.

        Those that come at about the same time go in one order.
        """
        answer = await self._batches.put(BatchEntry(told, listeners))
        if isinstance(answer, str):
            raise EngineError(f"{self} of the built-in engine: {answer}")
        return answer

    async def learn(self) -> None:
        """What it runs; what is on its way there meanwhile stays noted."""
        noted = {id_ for id_, ports in self.ports.items() if ports}
        try:
            told = await self.call("list")
        except WorkerGoneError:
            return
        except EngineError as error:
            _log.warning("worker.silent", worker=self.index, pid=self.pid, reason=str(error))
            return
        if told["protocol"] != PROTOCOL:
            _log.warning("worker.of_another_age", worker=self.index, pid=self.pid, protocol=told["protocol"])
        self.build, self.state = told.get("build", ""), told.get("state", "")
        listening = {id_: tuple(ports) for id_, _, ports in told["proxies"]}
        self.ports |= listening
        for id_ in noted - listening.keys():
            self.ports.pop(id_, None)

    async def restore(self) -> None:
        """Puts back what it should run and does not. Raises EngineError."""
        await restore(self, self._place.opened)

    async def put_together(self, entries: Sequence[BatchEntry]) -> list[bool | str]:
        """For each what `Put` tells. Raises EngineError."""
        if not entries:
            return []
        fds = [listener.fileno() for entry in entries for listener in entry.listeners]
        proxies = [{"record": entry.told, "listens": len(entry.listeners)} for entry in entries]
        return await self.call("put", proxies=proxies, fds=fds)

    async def _run(self, *, start: bool) -> None:
        """From finding or starting it to its end."""
        try:
            await self._connect(start=start)
        except (OSError, TimeoutError) as error:
            _log.error("worker.start_failed", worker=self.index, reason=str(error) or "it took too long")
            self._give_up()
            self.settled.set()
            self._place.changed()
            return
        await self._greet()
        with suppress(EngineError):
            await self.restore()
        self.settled.set()
        self._place.changed()
        with suppress(EngineError):
            await recall(self)
        await self._watch()
        self._disconnect()
        await reap(self.pid, patience=_BURY_S)
        if self.state == "leaving":
            _log.info("worker.ended", worker=self.index, pid=self.pid)
        else:
            _log.warning("worker.died", worker=self.index, pid=self.pid)

    async def _connect(self, *, start: bool) -> None:
        """Raises OSError, TimeoutError."""
        connection, started = await self._place.spawner.reach(self.name, start=start)
        self._ended.clear()
        self.stuck = False
        self._link = ControlClient(connection, heard=self._heard, lost=self._lost)
        self.pid = self._link.pid
        _log.info("worker.started" if started else "worker.adopted", worker=self.index, pid=self.pid)

    async def _greet(self) -> None:
        """Both orders are on their way at once."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.configure())
            tasks.create_task(self.learn())

    async def configure(self) -> None:
        """Tells it its configuration as it is now; a process that is not there yet is told when it is."""
        try:
            await self.call("configure", **self._place.configuration)
        except EngineError as error:
            _log.warning("worker.not_configured", worker=self.index, pid=self.pid, reason=str(error))

    async def _watch(self) -> None:
        """Until it has died; learns anew what it runs when it answers after it did not."""
        while not self._ended.is_set():
            await self._woken.wait()
            self._woken.clear()
            if not self._ended.is_set():
                await self._greet()
                await self._leave_if_idle()
                self._place.changed()

    async def _leave_if_idle(self) -> None:
        """One that shall not be kept and has nothing to do ends."""
        if not (self.permanent or self.stuck or self.ports) and self.state == "serving":
            with suppress(EngineError):
                await self.call("halt")

    def _heard(self) -> None:
        if self.stuck:
            self.stuck = False
            self._woken.set()

    def _lost(self) -> None:
        self.settled.clear()
        self._ended.set()
        self._woken.set()

    def _give_up(self) -> None:
        """What it ran may be started elsewhere."""
        if self.records:
            self.records = {}
            self._place.changed()

    def _disconnect(self) -> None:
        self.ports = {}
        self.settled.clear()
        if self._link is not None:
            self._link.close()
            self._link = None
