"""The workers of one directory: finds and starts them, and has old ones relieved by new ones."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress

import structlog

from node.engine.builtin.build_id import build_id
from node.engine.builtin.frames import WorkerName
from node.engine.builtin.pool.context import PoolContext, RecordFields
from node.engine.builtin.pool.processes import end_process, worker_names
from node.engine.builtin.pool.restoring import recall
from node.engine.builtin.pool.rw_lock import ReadersWriterLock
from node.engine.builtin.pool.upgrade import Moved, attach, hand_over
from node.engine.builtin.pool.worker_handle import WorkerHandle
from node.engine.interface import EngineError

_LOOK_S = 0.05
_END_S = 1.0
_GIVING_S = 60.0
"""For a handover that an agent before has begun."""

_log = structlog.get_logger(__name__)


class WorkerPool:
    """`workers` are those that live or shall live; of each number one is permanent, older ones are on their way out."""

    def __init__(self, place: PoolContext, count: int) -> None:
        self.workers: list[WorkerHandle] = []
        self.passage = ReadersWriterLock()
        self._place = place
        self._count = count
        self._group: asyncio.TaskGroup | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._upgrading = asyncio.Lock()

    async def assemble(self, group: asyncio.TaskGroup) -> None:
        """Of every number that there shall be or still is, the newest generation goes on."""
        self._group = group
        self._run(group.create_task(self._place.spawner.prepare()))
        living = worker_names(self._place.directory)
        newest = {name.number: name for name in [*map(WorkerName, range(self._count)), *living]}
        for name in sorted({*newest.values(), *living}):
            permanent = name.number < self._count and name == newest[name.number]
            self._add(name, start=permanent).permanent = permanent
        for worker in list(self.workers):
            await worker.settled.wait()
        self._run(group.create_task(self._tidy_up()))

    def disband(self) -> None:
        """The processes live on."""
        for task in self._tasks:
            task.cancel()

    async def disbanded(self) -> None:
        self.disband()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def upgrade(self) -> list[Moved]:
        """Everything to new processes, with the code as it is on disk now.

        Raises EngineError for the first that fails; it and those after it run on.
        """
        async with self._upgrading:
            try:
                await self._place.spawner.renew()
            except OSError as error:
                raise EngineError(f"the code on disk does not start: {error}") from error
            return [await self._relieve(worker) for worker in list(self.workers) if worker.permanent]

    def _add(self, name: WorkerName, *, start: bool) -> WorkerHandle:
        if self._group is None:
            raise EngineError("the built-in engine is not open")
        worker = WorkerHandle(self._place, name)
        self.workers.append(worker)
        self._run(self._group.create_task(self._keep(worker, start=start)))
        return worker

    def _run(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _keep(self, worker: WorkerHandle, *, start: bool) -> None:
        """One that is not permanent is forgotten when it has ended."""
        try:
            await worker.keep(start=start)
        finally:
            worker.settled.set()
        self.workers.remove(worker)

    async def _tidy_up(self) -> None:
        """Ends what an agent before left half done, and brings workers to the code of today."""
        async with self._upgrading:
            try:
                build = await asyncio.to_thread(build_id)
            except OSError as error:
                _log.error("worker.build_unknown", reason=error.strerror)
                return
            for worker in [each for each in self.workers if each.permanent]:
                try:
                    for before in [each for each in self.workers if each.index == worker.index and each is not worker]:
                        await self._merge(before, worker)
                    if worker.alive and worker.build != build:
                        await self._relieve(worker)
                except EngineError as error:
                    _log.error("worker.upgrade_failed", worker=worker.index, reason=str(error))

    async def _merge(self, before: WorkerHandle, worker: WorkerHandle) -> None:
        """An older generation that still runs proxies gives them to the newer one. Raises EngineError."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_GIVING_S):
                while before.alive and before.state == "giving":
                    await asyncio.sleep(_LOOK_S)
                    await before.learn()
        await worker.learn()
        await recall(worker)
        if before.alive and worker.alive and before.state == "serving":
            await self._hand_over(before, worker)

    async def _relieve(self, old: WorkerHandle) -> Moved:
        """A new process takes over. Raises EngineError."""
        new = self._add(WorkerName(old.index, old.name.generation + 1), start=True)
        await new.up()
        if not new.alive or new.stuck:
            await self._dismiss(new)
            raise EngineError(f"the new process of worker {old.index} does not start; its log tells why")
        return await self._hand_over(old, new)

    async def _hand_over(self, old: WorkerHandle, new: WorkerHandle) -> Moved:
        """Whatever comes of it, one worker of that number is kept afterwards, and none that does nothing.

        Raises EngineError.
        """
        async with self.passage.handover():
            records = old.records | new.records
            try:
                await old.up()
                moved = await hand_over(old, new)
            except EngineError:
                await self._man(old, new, records)
                raise
            await self._man(old, new, records)
        for worker in [each for each in self.workers if each.index == old.index and each not in (old, new)]:
            if worker.alive and not worker.stuck and worker.state == "leaving":
                await attach(worker, new)
        return moved

    async def _dismiss(self, worker: WorkerHandle) -> None:
        """One that has nothing."""
        if worker.alive:
            await end_process(worker.pid, patience=_END_S)

    async def _man(self, old: WorkerHandle, new: WorkerHandle, records: Mapping[int, RecordFields]) -> None:
        if not new.permanent and not new.ports and not new.stuck:
            await self._dismiss(new)
        if not any(worker.permanent for worker in (old, new) if worker in self.workers):
            another = self._add(WorkerName(old.index, new.name.generation + 1), start=True)
            another.permanent, another.records = True, dict(records)
