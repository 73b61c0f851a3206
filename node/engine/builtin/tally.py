"""What the workers of an engine tell of the use of their proxies."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from node.engine import Condition, Counters, EngineError
from node.engine.builtin.counted import Counted, highest
from node.engine.builtin.crew import Crew
from node.engine.builtin.workers import Worker
from shared.proxies import ProxyId


class Tally:
    """Workers that do not answer are left out."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._counted: dict[Worker, Counted] = {}

    async def stats(self) -> Mapping[ProxyId, Mapping[str, int]]:
        """See BuiltinEngine."""
        return {
            ProxyId(counters["id"]): counters
            for answer in await self._answers("stats")
            for counters in answer["proxies"]
        }

    async def conditions(self) -> Mapping[ProxyId, Condition]:
        """See node.engine.Limiting."""
        return {
            ProxyId(id_): Condition("expired" if word == "expired" else "limited", reason)
            for answer in await self._answers("conditions")
            for id_, word, reason in answer
        }

    async def usage(self) -> Sequence[Counters]:
        """See node.engine.Counting."""
        self._counted = {worker: self._counted.get(worker) or Counted(worker) for worker in self._crew.workers}
        async with asyncio.TaskGroup() as tasks:
            answers = [tasks.create_task(counted.read()) for counted in self._counted.values()]
        return highest([counters for answer in answers for counters in answer.result()])

    async def taken(self, counters: Sequence[Counters]) -> None:
        """See node.engine.Counting."""
        for counted in list(self._counted.values()):
            # A worker that does not answer tells them again.
            with suppress(EngineError):
                await counted.taken(counters)

    async def _answers(self, op: str) -> list[Any]:
        async with asyncio.TaskGroup() as tasks:
            answers = [tasks.create_task(_answer(worker, op)) for worker in self._crew.workers]
        return [told for answer in answers if (told := answer.result()) is not None]


async def _answer(worker: Worker, op: str) -> Any:
    try:
        return await worker.call(op)
    except EngineError:
        return None
