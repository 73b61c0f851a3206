"""One worker as the agent sees it: found or started, connected, watched, and the proxies that it runs."""

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
from node.engine.builtin.pool.restoring import fetch_records, restore
from node.engine.builtin.pool.spawner import START_S
from node.engine.interface import EngineError

CALL_S = 4.0
_REAP_S = 1.0
_STEADY_S = 10.0
_PAUSES_S = (0.0, 0.0, 0.5, 1.0, 2.0, 5.0)
"""Pauses before a worker that keeps dying is restarted; they begin again once it has lived for a while."""
_MAX_DEATHS = 2
"""Deaths in a row after which its proxies are not put back: one of them may cause them."""

_log = structlog.get_logger(__name__)


class WorkerHandle:
    """Controls one worker. A worker that is not `permanent` is not restarted: it belongs to an engine with more
    workers, or another process takes over."""

    def __init__(
        self,
        context: PoolContext,
        name: WorkerName,
    ) -> None:
        self.name = name
        self.permanent = False
        self.pid = 0
        self.build = ""
        self.state = ""
        self.ports: dict[int, tuple[int, ...]] = {}
        """The open ports of each proxy; () while a proxy is being put."""
        self.records: dict[int, RecordFields] = {}
        """The records to put back if the worker dies."""
        self.settled = asyncio.Event()
        """Set while the worker is connected and its proxies are put back, or after its start has failed."""
        self.stuck = False
        """A command was not answered in time, and nothing has been answered since."""
        self._context = context
        self._client: ControlClient | None = None
        self._ended = asyncio.Event()
        self._woken = asyncio.Event()
        self._batches = Batches(self.put_batch)

    @property
    def index(self) -> int:
        return self.name.number

    def __str__(self) -> str:
        return f"worker {self.index} (pid {self.pid})"

    @property
    def alive(self) -> bool:
        """Whether it can receive commands, as far as is known."""
        return self._client is not None and self.settled.is_set() and not self._ended.is_set()

    def has(self, proxy_id: int) -> bool:
        """Whether it runs this proxy, or will run it again."""
        return proxy_id in self.ports or proxy_id in self.records

    async def keep(self, *, start: bool = True) -> None:
        """Keep the worker running until cancelled; the process then runs on."""
        attempt = 0
        try:
            while True:
                began = time.monotonic()
                await self._run(start=start)
                if not self.permanent:
                    self._forget_records()
                    return
                attempt = 0 if time.monotonic() - began > _STEADY_S else min(attempt + 1, len(_PAUSES_S) - 1)
                if attempt > _MAX_DEATHS:
                    self._forget_records()
                await asyncio.sleep(_PAUSES_S[attempt])
                start = True
        finally:
            self._disconnect()

    async def until_settled(self) -> None:
        """Wait until the worker is ready; one that has just died is being restarted, and has its ports open soon.
        Raises EngineError."""
        try:
            async with asyncio.timeout(START_S):
                await self.settled.wait()
        except TimeoutError as error:
            raise EngineError(f"{self} of the built-in engine does not start") from error

    async def call(self, op: str, *, fds: Sequence[int] = (), timeout: float = CALL_S, **fields: Any) -> Any:
        """Send a command. Raises EngineError, which names the worker; at once while an earlier command is
        unanswered."""
        client = self._client
        if client is None:
            raise WorkerGoneError(f"worker {self.index} of the built-in engine is not running")
        if self.stuck:
            raise EngineError(f"{self} of the built-in engine does not answer")
        try:
            return await client.call(op, fds=fds, timeout=timeout, **fields)
        except UnansweredError as error:
            self.stuck = True
            _log.warning("worker.stuck", worker=self.index, pid=self.pid)
            raise EngineError(f"{self} of the built-in engine does not answer") from error
        except LostError as error:
            raise WorkerGoneError(f"{self} of the built-in engine has died") from error
        except RefusedError as error:
            raise EngineError(f"{self} of the built-in engine: {error}") from error

    async def put(self, fields: RecordFields, listeners: Listeners = ()) -> bool:
        """Put a record; False if it needs other listeners. Raises EngineError.

        Records that are put at about the same time go in one command.
        """
        answer = await self._batches.put(BatchEntry(fields, listeners))
        if isinstance(answer, str):
            raise EngineError(f"{self} of the built-in engine: {answer}")
        return answer

    async def refresh(self) -> None:
        """Read which proxies it runs; proxies that are being put meanwhile stay noted."""
        noted = {id_ for id_, ports in self.ports.items() if ports}
        try:
            answer = await self.call("list")
        except WorkerGoneError:
            return
        except EngineError as error:
            _log.warning("worker.silent", worker=self.index, pid=self.pid, reason=str(error))
            return
        if answer["protocol"] != PROTOCOL:
            _log.warning("worker.protocol_differs", worker=self.index, pid=self.pid, protocol=answer["protocol"])
        self.build, self.state = answer.get("build", ""), answer.get("state", "")
        listening = {id_: tuple(ports) for id_, _, ports in answer["proxies"]}
        self.ports |= listening
        for id_ in noted - listening.keys():
            self.ports.pop(id_, None)

    async def restore(self) -> None:
        """Put back the proxies of `records` that it does not run. Raises EngineError."""
        await restore(self, self._context.open_listener)

    async def put_batch(self, entries: Sequence[BatchEntry]) -> list[bool | str]:
        """See `batches.Put`. Raises EngineError."""
        if not entries:
            return []
        fds = [listener.fileno() for entry in entries for listener in entry.listeners]
        proxies = [{"record": entry.fields, "listens": len(entry.listeners)} for entry in entries]
        return await self.call("put", proxies=proxies, fds=fds)

    async def _run(self, *, start: bool) -> None:
        """Run one life of the worker, from finding or starting it to its end."""
        try:
            await self._connect(start=start)
        except (OSError, TimeoutError) as error:
            _log.error("worker.start_failed", worker=self.index, reason=str(error) or "it took too long")
            self._forget_records()
            self.settled.set()
            self._context.changed()
            return
        await self._synchronize()
        with suppress(EngineError):
            await self.restore()
        self.settled.set()
        self._context.changed()
        with suppress(EngineError):
            await fetch_records(self)
        await self._watch()
        self._disconnect()
        await reap(self.pid, patience=_REAP_S)
        if self.state == "leaving":
            _log.info("worker.ended", worker=self.index, pid=self.pid)
        else:
            _log.warning("worker.died", worker=self.index, pid=self.pid)

    async def _connect(self, *, start: bool) -> None:
        """Raises OSError, TimeoutError."""
        connection, started = await self._context.spawner.connect(self.name, start=start)
        self._ended.clear()
        self.stuck = False
        self._client = ControlClient(connection, heard=self._heard, lost=self._lost)
        self.pid = self._client.pid
        _log.info("worker.started" if started else "worker.adopted", worker=self.index, pid=self.pid)

    async def _synchronize(self) -> None:
        """Configure the worker and read its state, at the same time."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.configure())
            tasks.create_task(self.refresh())

    async def configure(self) -> None:
        """Send the current configuration; a process that is still starting gets it then."""
        try:
            await self.call("configure", **self._context.configuration)
        except EngineError as error:
            _log.warning("worker.not_configured", worker=self.index, pid=self.pid, reason=str(error))

    async def _watch(self) -> None:
        """Wait until it has died; synchronize when it answers again after being stuck."""
        while not self._ended.is_set():
            await self._woken.wait()
            self._woken.clear()
            if not self._ended.is_set():
                await self._synchronize()
                await self._leave_if_idle()
                self._context.changed()

    async def _leave_if_idle(self) -> None:
        """End a worker that is neither kept nor has anything to do."""
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

    def _forget_records(self) -> None:
        """Give its proxies up, so that they can be started elsewhere."""
        if self.records:
            self.records = {}
            self._context.changed()

    def _disconnect(self) -> None:
        self.ports = {}
        self.settled.clear()
        if self._client is not None:
            self._client.close()
            self._client = None
