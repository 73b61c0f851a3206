"""Collects usage counters and conditions from the workers."""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

from node.engine.builtin.accounting.ledger_entry import LedgerEntry, LedgerKey, read_line
from node.engine.builtin.pool.pool import WorkerPool
from node.engine.builtin.pool.worker_handle import WorkerHandle
from node.engine.interface import Condition, Counters, EngineError
from shared.proxies import ProxyId


class CounterReader:
    """Reads the counters of all workers; workers that do not answer are left out."""

    def __init__(self, worker_pool: WorkerPool) -> None:
        self._pool = worker_pool
        self._readers: dict[WorkerHandle, WorkerCounters] = {}

    async def stats(self) -> Mapping[ProxyId, Mapping[str, int]]:
        """See BuiltinEngine."""
        return {
            ProxyId(counters["id"]): counters
            for answer in await self._answers("stats")
            for counters in answer["proxies"]
        }

    async def conditions(self) -> Mapping[ProxyId, Condition]:
        """See node.engine.interface.Limiting."""
        return {
            ProxyId(id_): Condition("expired" if word == "expired" else "limited", reason)
            for answer in await self._answers("conditions")
            for id_, word, reason in answer
        }

    async def connections(self) -> Mapping[ProxyId, int]:
        """See node.engine.interface.Gauging. A proxy that moves between two workers has connections in both."""
        found = Counter[ProxyId]()
        for answer in await self._answers("open"):
            found.update({ProxyId(id_): count for id_, count in answer})
        return found

    async def usage(self) -> Sequence[Counters]:
        """See node.engine.interface.Counting."""
        self._readers = {worker: self._readers.get(worker) or WorkerCounters(worker) for worker in self._pool.workers}
        async with asyncio.TaskGroup() as tasks:
            answers = [tasks.create_task(reader.read()) for reader in self._readers.values()]
        return highest([counters for answer in answers for counters in answer.result()])

    async def taken(self, counters: Sequence[Counters]) -> None:
        """See node.engine.interface.Counting."""
        for reader in list(self._readers.values()):
            # A worker that does not answer reports them again.
            with suppress(EngineError):
                await reader.taken(counters)

    async def _answers(self, op: str) -> list[Any]:
        async with asyncio.TaskGroup() as tasks:
            answers = [tasks.create_task(_answer(worker, op)) for worker in self._pool.workers]
        return [result for answer in answers if (result := answer.result()) is not None]


async def _answer(worker: WorkerHandle, op: str) -> Any:
    try:
        return await worker.call(op)
    except EngineError:
        return None


_AT_ONCE = 1000


class WorkerCounters:
    """The counters of one worker. Only lines written since the last request are requested, as long as the process is
    the same."""

    def __init__(self, worker: WorkerHandle) -> None:
        self._worker = worker
        self._pid = 0
        self._since = 0
        self._known: dict[LedgerKey, Counters] = {}

    async def read(self) -> Collection[Counters]:
        """All counters; none while the worker does not answer: it may have died, and then another worker reports its
        lives."""
        if self._pid != self._worker.pid:
            self._pid, self._since, self._known = self._worker.pid, 0, {}
        try:
            while lines := await self._ask():
                for text in lines:
                    entry = read_line(text.encode())
                    if isinstance(entry, LedgerEntry):
                        self._known[entry.key] = _counters(entry)
        except EngineError:
            return ()
        return self._known.values()

    async def taken(self, counters: Collection[Counters]) -> None:
        """Raises EngineError."""
        lives = [
            [each.id, each.epoch, each.received_bytes, each.sent_bytes, each.connections]
            for each in counters
            if self._known.get((each.id, each.epoch)) == each
        ]
        for start in range(0, len(lives), _AT_ONCE):
            for id_, epoch in await self._worker.call("taken", lives=lives[start : start + _AT_ONCE]):
                self._known.pop((id_, epoch), None)

    async def _ask(self) -> list[str]:
        answer = await self._worker.call("usage", since=self._since)
        self._since = answer["since"]
        return answer["lines"]


def highest(counters: Collection[Counters]) -> list[Counters]:
    """One entry for each life: two workers may report the same one, while one of them adopts another's file."""
    found: dict[LedgerKey, Counters] = {}
    for each in counters:
        key = each.id, each.epoch
        if key not in found or _moved(found[key]) <= _moved(each):
            found[key] = each
    return list(found.values())


def _moved(counters: Counters) -> tuple[int, int]:
    return counters.received_bytes + counters.sent_bytes, counters.connections


def _counters(entry: LedgerEntry) -> Counters:
    return Counters(
        id=ProxyId(entry.id),
        epoch=entry.epoch,
        received_bytes=entry.received_bytes,
        sent_bytes=entry.sent_bytes,
        connections=entry.connections,
        refused=entry.refused,
    )
