"""What the workers of an engine really run at this moment."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from node.engine.builtin.pool.context import WorkerGoneError
from node.engine.builtin.pool.pool import WorkerPool
from node.engine.builtin.pool.worker_handle import WorkerHandle
from node.engine.interface import EngineError
from shared.proxies import ProxyId, Version

_REBIRTH_S = 1.0
"""For which a worker that has just died is waited for before its proxies are told as gone."""

Found = tuple[int, WorkerHandle]
"""A version, and where it runs."""


class RunningProxies:
    """Workers that do not answer are left out."""

    def __init__(self, worker_pool: WorkerPool) -> None:
        self._crew = worker_pool

    async def running(self) -> Mapping[ProxyId, Version]:
        """By proxy; of one that is found twice the newer version stays."""
        found: dict[int, Found] = {}
        for worker, versions in (await self._versions()).items():
            for id_, version in versions.items():
                if id_ in found:
                    await _part(id_, found[id_], (version, worker))
                found[id_] = max(found.get(id_, (0, worker)), (version, worker), key=lambda each: each[0])
        return {ProxyId(id_): Version(version) for id_, (version, _) in found.items()}

    async def _versions(self) -> Mapping[WorkerHandle, Mapping[int, int]]:
        """What each worker listens for. One that has just died and comes back with its proxies is waited for."""
        await self._reborn()
        answers = await self._answers()
        if all(worker.alive or not worker.records for worker in self._crew.workers):
            return answers
        await self._reborn()
        return await self._answers()

    async def _reborn(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_REBIRTH_S):
                for worker in [each for each in self._crew.workers if each.records]:
                    await worker.settled.wait()

    async def _answers(self) -> Mapping[WorkerHandle, Mapping[int, int]]:
        async with asyncio.TaskGroup() as tasks:
            answers = {worker: tasks.create_task(_told(worker)) for worker in self._crew.workers}
        return {worker: answer.result() for worker, answer in answers.items()}


async def drop(worker: WorkerHandle, proxy_id: int) -> None:
    """Raises EngineError when the worker lives but does not answer; it will not run it again in any case."""
    try:
        worker.records.pop(proxy_id, None)
        with suppress(WorkerGoneError):
            await worker.call("remove", proxy_id=proxy_id)
        worker.ports.pop(proxy_id, None)
    finally:
        worker.records.pop(proxy_id, None)


async def _told(worker: WorkerHandle) -> dict[int, int]:
    try:
        told: list[tuple[int, int, list[int]]] = (await worker.call("list"))["proxies"]
    except EngineError:
        return {}
    for id_, _, ports in told:
        worker.ports.setdefault(id_, tuple(ports))
    return {id_: version for id_, version, _ in told}


async def _part(proxy_id: int, one: Found, other: Found) -> None:
    """A worker that was stuck may come back with what was started elsewhere meanwhile."""
    # A worker that does not answer this is asked again the next time.
    with suppress(EngineError):
        await drop(min(one, other, key=lambda each: each[0])[1], proxy_id)
