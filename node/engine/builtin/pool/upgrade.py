"""The agent's part of a handover: brings two workers together and finds out who runs what afterwards."""

import asyncio
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import structlog

from node.engine.builtin.pool.context import RecordFields
from node.engine.builtin.pool.processes import reap
from node.engine.builtin.pool.worker_handle import CALL_S, WorkerHandle
from node.engine.interface import EngineError

_HANDOVER_S = 120.0
_LOOK_S = 1.0
_BURY_S = 1.0
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Moved:
    """What one process of a worker took over from another; no connection waited longer than `longest_pause_s`."""

    worker: int
    before: int
    after: int
    proxies: int
    connections: int
    longest_pause_s: float


async def hand_over(old: WorkerHandle, new: WorkerHandle) -> Moved:
    """Everything from one to the other. Raises EngineError; then some may be here, some there.

    Neither is started again while it lasts. In the end the one that is `permanent` is the number's worker, and the
    `records` of both say what each runs; none is where neither can go on. An agent that ends meanwhile, and cancels
    this, leaves the two to it: the next one finds out.
    """
    records = old.records | new.records
    old.permanent = new.permanent = False
    old.records, new.records = {}, {}
    try:
        told = await _brought_together(old, new)
    except EngineError:
        await _settle(old, new, records, done=False)
        raise
    old.state = "leaving"
    await _settle(old, new, records, done=True)
    moved = Moved(new.index, old.pid, new.pid, **told)
    _log.info("worker.handed_over", **asdict(moved))
    return moved


async def attach(left: WorkerHandle, successor: WorkerHandle) -> None:
    """What is left of a process goes to this one by and by, for it has relieved the one that took over from it."""
    try:
        await _brought_together(left, successor)
    except EngineError as error:
        _log.warning("worker.left_alone", worker=left.index, pid=left.pid, reason=str(error))


async def _brought_together(old: WorkerHandle, new: WorkerHandle) -> Mapping[str, Any]:
    """Raises EngineError."""
    one, other = socket.socketpair()
    with one, other:
        await old.call("give", fds=[one.fileno()])
        one.close()
        async with asyncio.TaskGroup() as tasks:
            taken = tasks.create_task(_taken(new, other, old.pid))
            await _watched(old, taken)
    if taken.cancelled():
        new.stuck = True
        raise EngineError(f"{new} of the built-in engine does not answer")
    answer = taken.result()
    if isinstance(answer, EngineError):
        raise answer
    return answer


async def _taken(new: WorkerHandle, connection: socket.socket, giver: int) -> Mapping[str, Any] | EngineError:
    """What came over, or why it did not."""
    try:
        return await new.call("take", fds=[connection.fileno()], giver=giver, timeout=_HANDOVER_S)
    except EngineError as error:
        return error


async def _watched(old: WorkerHandle, taken: asyncio.Task[Any]) -> None:
    """Once the old worker has given everything, the new one has not much time left to say that it has it."""
    while not taken.done():
        await asyncio.wait([taken], timeout=_LOOK_S)
        await old.learn()
        if old.state != "giving" or not old.alive:
            await asyncio.wait([taken], timeout=CALL_S)
            taken.cancel()


async def _settle(old: WorkerHandle, new: WorkerHandle, records: Mapping[int, RecordFields], *, done: bool) -> None:
    """Whoever serves and has something of it stays; what neither runs any more is put back."""
    for worker in (old, new):
        worker.ports = {}
        if worker.alive:
            await worker.learn()
        if worker.pid and not worker.alive:
            # Its connection to here is closed before its listeners are.
            await reap(worker.pid, patience=_BURY_S)
    old_serves = old.alive and old.state != "leaving"
    if not (done or new.alive or old_serves):
        return
    stays = new if done or (new.alive and (new.ports or not old_serves)) else old
    other = old if stays is new else new
    stays.permanent = True
    stays.records = {id_: told for id_, told in records.items() if id_ not in other.ports}
    other.records = {id_: told for id_, told in records.items() if id_ in other.ports}
    # One that dies now is started again with these records.
    if not stays.stuck:
        with suppress(EngineError):
            await stays.restore()
