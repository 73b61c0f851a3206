"""The agent's part of a handover: connects two workers, and finds out afterwards which proxies each of them runs."""

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
_POLL_S = 1.0
_REAP_S = 1.0
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Moved:
    """What a worker's new process took over from the old one; no connection waited longer than `longest_pause_s`."""

    worker: int
    before: int
    after: int
    proxies: int
    connections: int
    longest_pause_s: float


async def hand_over(old: WorkerHandle, new: WorkerHandle) -> Moved:
    """Move everything from one worker to the other. Raises EngineError; some may then be here, some there.

    Neither worker is restarted meanwhile. At the end, the one that is `permanent` keeps the number, and the `records`
    of both describe what each runs; neither is permanent if neither can continue. If the agent ends meanwhile and this
    is cancelled, the workers complete the handover alone, and the next agent finds out the result.
    """
    records = old.records | new.records
    old.permanent = new.permanent = False
    old.records, new.records = {}, {}
    try:
        summary = await _run_handover(old, new)
    except EngineError:
        await _settle(old, new, records, done=False)
        raise
    old.state = "leaving"
    await _settle(old, new, records, done=True)
    moved = Moved(new.index, old.pid, new.pid, **summary)
    _log.info("worker.handed_over", **asdict(moved))
    return moved


async def attach(left: WorkerHandle, successor: WorkerHandle) -> None:
    """Have leftovers of an earlier process moved to this worker, the successor of the one that took over from it."""
    try:
        await _run_handover(left, successor)
    except EngineError as error:
        _log.warning("worker.leftovers_not_moved", worker=left.index, pid=left.pid, reason=str(error))


async def _run_handover(old: WorkerHandle, new: WorkerHandle) -> Mapping[str, Any]:
    """Connect the two workers, and return the new one's summary. Raises EngineError."""
    one, other = socket.socketpair()
    with one, other:
        await old.call("give", fds=[one.fileno()])
        one.close()
        async with asyncio.TaskGroup() as tasks:
            taken = tasks.create_task(_take(new, other, old.pid))
            await _watch(old, taken)
    if taken.cancelled():
        new.stuck = True
        raise EngineError(f"{new} of the built-in engine does not answer")
    answer = taken.result()
    if isinstance(answer, EngineError):
        raise answer
    return answer


async def _take(new: WorkerHandle, connection: socket.socket, giver: int) -> Mapping[str, Any] | EngineError:
    """The new worker's summary, or the error."""
    try:
        return await new.call("take", fds=[connection.fileno()], giver=giver, timeout=_HANDOVER_S)
    except EngineError as error:
        return error


async def _watch(old: WorkerHandle, taken: asyncio.Task[Any]) -> None:
    """Wait for the new worker; once the old one has given everything, the new one has to answer soon."""
    while not taken.done():
        await asyncio.wait([taken], timeout=_POLL_S)
        await old.refresh()
        if old.state != "giving" or not old.alive:
            await asyncio.wait([taken], timeout=CALL_S)
            taken.cancel()


async def _settle(old: WorkerHandle, new: WorkerHandle, records: Mapping[int, RecordFields], *, done: bool) -> None:
    """Decide which worker is kept, and put back the proxies that neither runs any more."""
    for worker in (old, new):
        worker.ports = {}
        if worker.alive:
            await worker.refresh()
        if worker.pid and not worker.alive:
            # The kernel closes its connection to the agent before its listeners.
            await reap(worker.pid, patience=_REAP_S)
    old_serves = old.alive and old.state != "leaving"
    if not (done or new.alive or old_serves):
        return
    stays = new if done or (new.alive and (new.ports or not old_serves)) else old
    other = old if stays is new else new
    stays.permanent = True
    stays.records = {id_: fields for id_, fields in records.items() if id_ not in other.ports}
    other.records = {id_: fields for id_, fields in records.items() if id_ in other.ports}
    # A worker that dies now is restarted with these records.
    if not stays.stuck:
        with suppress(EngineError):
            await stays.restore()
