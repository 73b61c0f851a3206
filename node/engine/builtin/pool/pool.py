"""The workers of one directory: finds and starts them, and replaces old ones with new ones."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from itertools import chain, repeat

import structlog

from node.engine.builtin.build_id import build_id
from node.engine.builtin.frames import WorkerName
from node.engine.builtin.pool.context import PoolContext, RecordFields
from node.engine.builtin.pool.processes import end_process, worker_names
from node.engine.builtin.pool.restoring import fetch_records
from node.engine.builtin.pool.rw_lock import ReadersWriterLock
from node.engine.builtin.pool.upgrade import Moved, attach, hand_over
from node.engine.builtin.pool.worker_handle import WorkerHandle
from node.engine.interface import EngineError

_POLL_S = 0.05
_END_S = 1.0
_HANDOVER_S = 60.0
"""Time for a handover that an earlier agent has begun."""
_RETRY_S = (5.0, 15.0, 60.0, 300.0)
"""Pauses before a worker whose replacement failed is tried again; the last one repeats. A host that is busy with the
start of its agent may not start a worker in time."""

_log = structlog.get_logger(__name__)


class WorkerPool:
    """`workers` are all that run or are being started. For each number one of them is permanent; older ones end with
    their last connection.

    `lock` keeps commands and handovers apart.
    """

    def __init__(self, context: PoolContext, count: int) -> None:
        self.workers: list[WorkerHandle] = []
        self.lock = ReadersWriterLock()
        self._context = context
        self._count = count
        self._group: asyncio.TaskGroup | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._upgrading = asyncio.Lock()

    async def open(self, group: asyncio.TaskGroup) -> None:
        """Find and start workers. For each number that is wanted or still runs, the newest generation is kept."""
        self._group = group
        self._run(group.create_task(self._context.spawner.prepare()))
        living = worker_names(self._context.directory)
        newest = {name.number: name for name in [*map(WorkerName, range(self._count)), *living]}
        for name in sorted({*newest.values(), *living}):
            permanent = name.number < self._count and name == newest[name.number]
            self._add(name, start=permanent).permanent = permanent
        for worker in list(self.workers):
            await worker.settled.wait()
        self._run(group.create_task(self._clean_up()))

    def close(self) -> None:
        """Stop watching; the processes keep running."""
        for task in self._tasks:
            task.cancel()

    async def wait_closed(self) -> None:
        self.close()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def upgrade(self) -> list[Moved]:
        """See BuiltinEngine.

        Raises EngineError for the first worker that fails; it and those after it continue.
        """
        async with self._upgrading:
            try:
                await self._context.spawner.renew()
            except OSError as error:
                raise EngineError(f"the code on disk does not start: {error}") from error
            return [await self._replace(worker) for worker in list(self.workers) if worker.permanent]

    def _add(self, name: WorkerName, *, start: bool) -> WorkerHandle:
        if self._group is None:
            raise EngineError("the built-in engine is not open")
        worker = WorkerHandle(self._context, name)
        self.workers.append(worker)
        self._run(self._group.create_task(self._keep(worker, start=start)))
        return worker

    def _run(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _keep(self, worker: WorkerHandle, *, start: bool) -> None:
        """Keep a worker running; one that is not permanent is removed when it has ended."""
        try:
            await worker.keep(start=start)
        finally:
            worker.settled.set()
        self.workers.remove(worker)

    async def _clean_up(self) -> None:
        """Complete what an earlier agent left unfinished, and replace workers that run other code, until all have the
        code on disk."""
        for pause in chain(_RETRY_S, repeat(_RETRY_S[-1])):
            async with self._upgrading:
                if await self._bring_up_to_date():
                    return
            await asyncio.sleep(pause)

    async def _bring_up_to_date(self) -> bool:
        """Try once. Returns whether nothing is left to do."""
        try:
            build = await asyncio.to_thread(build_id)
        except OSError as error:
            _log.error("worker.build_unknown", reason=error.strerror)
            return False
        is_done = True
        for worker in [each for each in self.workers if each.permanent]:
            try:
                for before in [each for each in self.workers if each.index == worker.index and each is not worker]:
                    await self._merge(before, worker)
                if worker.alive and worker.build != build:
                    await self._replace(worker)
            except EngineError as error:
                _log.error("worker.upgrade_failed", worker=worker.index, reason=str(error))
                is_done = False
        return is_done

    async def _merge(self, before: WorkerHandle, worker: WorkerHandle) -> None:
        """Have an older generation that still runs proxies give them to the newer one. Raises EngineError."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_HANDOVER_S):
                while before.alive and before.state == "giving":
                    await asyncio.sleep(_POLL_S)
                    await before.refresh()
        await worker.refresh()
        await fetch_records(worker)
        if before.alive and worker.alive and before.state == "serving":
            await self._hand_over(before, worker)

    async def _replace(self, old: WorkerHandle) -> Moved:
        """Replace a worker with a new process. Raises EngineError."""
        new = self._add(WorkerName(old.index, old.name.generation + 1), start=True)
        await new.until_settled()
        if not new.alive or new.stuck:
            await self._end_worker(new)
            raise EngineError(f"the new process of worker {old.index} does not start; see its log")
        return await self._hand_over(old, new)

    async def _hand_over(self, old: WorkerHandle, new: WorkerHandle) -> Moved:
        """Run a handover. Whatever the outcome, one worker of that number is kept, and none that runs nothing.

        Raises EngineError.
        """
        async with self.lock.handover():
            records = old.records | new.records
            try:
                await old.until_settled()
                moved = await hand_over(old, new)
            except EngineError:
                await self._ensure_permanent(old, new, records)
                raise
            await self._ensure_permanent(old, new, records)
        for worker in [each for each in self.workers if each.index == old.index and each not in (old, new)]:
            if worker.alive and not worker.stuck and worker.state == "leaving":
                await attach(worker, new)
        return moved

    async def _end_worker(self, worker: WorkerHandle) -> None:
        """End a worker that runs nothing."""
        if worker.alive:
            await end_process(worker.pid, patience=_END_S)

    async def _ensure_permanent(
        self, old: WorkerHandle, new: WorkerHandle, records: Mapping[int, RecordFields]
    ) -> None:
        if not new.permanent and not new.ports and not new.stuck:
            await self._end_worker(new)
        if not any(worker.permanent for worker in (old, new) if worker in self.workers):
            another = self._add(WorkerName(old.index, new.name.generation + 1), start=True)
            another.permanent, another.records = True, dict(records)
