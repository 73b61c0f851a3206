"""The proxies that the workers of an engine actually run at this moment."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from node.engine.builtin.pool.context import WorkerGoneError
from node.engine.builtin.pool.pool import WorkerPool
from node.engine.builtin.pool.worker_handle import WorkerHandle
from node.engine.interface import EngineError
from shared.proxies import ProxyId, Version

_RESTART_S = 1.0
"""How long to wait for a worker that has just died before its proxies are reported as gone."""

Found = tuple[int, WorkerHandle]
"""A version, and the worker that runs it."""


class RunningProxies:
    """Asks all workers; workers that do not answer are left out."""

    def __init__(self, worker_pool: WorkerPool) -> None:
        self._pool = worker_pool

    async def running(self) -> Mapping[ProxyId, Version]:
        """The version of each proxy; if two workers run one, the older version is dropped."""
        found: dict[int, Found] = {}
        for worker, versions in (await self._versions()).items():
            for id_, version in versions.items():
                if id_ in found:
                    await _drop_older(id_, found[id_], (version, worker))
                found[id_] = max(found.get(id_, (0, worker)), (version, worker), key=lambda each: each[0])
        return {ProxyId(id_): Version(version) for id_, (version, _) in found.items()}

    async def _versions(self) -> Mapping[WorkerHandle, Mapping[int, int]]:
        """The proxies of each worker. A worker that has just died and restarts with its proxies is waited for."""
        await self._wait_for_restarts()
        answers = await self._answers()
        if all(worker.alive or not worker.records for worker in self._pool.workers):
            return answers
        await self._wait_for_restarts()
        return await self._answers()

    async def _wait_for_restarts(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_RESTART_S):
                for worker in [each for each in self._pool.workers if each.records]:
                    await worker.settled.wait()

    async def _answers(self) -> Mapping[WorkerHandle, Mapping[int, int]]:
        async with asyncio.TaskGroup() as tasks:
            answers = {worker: tasks.create_task(_versions_of(worker)) for worker in self._pool.workers}
        return {worker: answer.result() for worker, answer in answers.items()}


async def drop(worker: WorkerHandle, proxy_id: int) -> None:
    """Remove a proxy from a worker. Raises EngineError if the worker runs but does not answer; it will not restart the
    proxy in any case."""
    try:
        worker.records.pop(proxy_id, None)
        with suppress(WorkerGoneError):
            await worker.call("remove", proxy_id=proxy_id)
        worker.ports.pop(proxy_id, None)
    finally:
        worker.records.pop(proxy_id, None)


async def _versions_of(worker: WorkerHandle) -> dict[int, int]:
    try:
        listening: list[tuple[int, int, list[int]]] = (await worker.call("list"))["proxies"]
    except EngineError:
        return {}
    for id_, _, ports in listening:
        worker.ports.setdefault(id_, tuple(ports))
    return {id_: version for id_, version, _ in listening}


async def _drop_older(proxy_id: int, one: Found, other: Found) -> None:
    """Drop the older of two versions: a worker that was stuck may answer again after its proxy was started
    elsewhere."""
    # A worker that does not answer is asked again the next time.
    with suppress(EngineError):
        await drop(min(one, other, key=lambda each: each[0])[1], proxy_id)
