"""Puts missing proxies back into a worker."""

from _socket import socket as Socket  # noqa: N812 (the base class; the wrapper of the library costs 3 us a connection)
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import structlog

from node.engine.builtin.frames import MAX_FDS, MAX_PORTS, batches
from node.engine.builtin.pool.batches import BatchEntry
from node.engine.builtin.pool.context import Listeners, RecordFields, close_all, ports_of
from node.engine.interface import EngineError
from shared.tasks import for_each

_AT_ONCE = 4
"""Commands in progress: while one is executed the next are prepared, and a worker that shares the CPU need not wait."""

_log = structlog.get_logger(__name__)


class RestorableWorker(Protocol):
    """The part of a worker handle that restoring needs; `worker_handle.WorkerHandle` implements it and imports this
    module."""

    ports: dict[int, tuple[int, ...]]
    records: dict[int, RecordFields]

    @property
    def index(self) -> int: ...

    async def call(self, op: str, /, **fields: Any) -> Any: ...

    async def put_batch(self, entries: Sequence[BatchEntry]) -> list[bool | str]: ...


async def restore(worker: RestorableWorker, open_listener: Callable[[int], Socket]) -> None:
    """Put back the proxies of `records` that do not run, unless they are stopped meanwhile. Raises EngineError.

    A proxy whose port cannot be opened any more is given up.
    """
    failed: list[EngineError] = []

    async def some(ids: Sequence[int]) -> None:
        if not failed:
            try:
                await _restore(worker, ids, open_listener)
            except EngineError as error:
                failed.append(error)

    missing = [id_ for id_ in worker.records if id_ not in worker.ports]
    await for_each(batches(missing, MAX_FDS // MAX_PORTS), some, at_once=_AT_ONCE)
    if failed:
        raise failed[0]


async def fetch_records(worker: RestorableWorker) -> None:
    """Fetch the records of a worker that was found running, so that they can be restored. Raises EngineError."""
    unknown = [id_ for id_, ports in worker.ports.items() if ports and id_ not in worker.records]
    for ids in batches(unknown, MAX_FDS):
        for fields in await worker.call("records", ids=ids):
            if worker.ports.get(fields["id"]):
                worker.records.setdefault(fields["id"], fields)


async def _restore(worker: RestorableWorker, ids: Sequence[int], open_listener: Callable[[int], Socket]) -> None:
    """Send the command in the same iteration of the event loop in which the records were read."""
    entries: list[BatchEntry] = []
    try:
        for id_ in ids:
            fields = worker.records.get(id_)
            listeners = _open_listeners(worker, fields, open_listener) if fields is not None else None
            if fields is not None and listeners is not None:
                entries.append(BatchEntry(fields, listeners))
        for entry, answer in zip(entries, await worker.put_batch(entries), strict=True):
            if answer is True:
                worker.ports[entry.fields["id"]] = ports_of(entry.fields)
            else:
                reason = answer or "it needs other listeners"
                _log.error("worker.not_restored", worker=worker.index, proxy_id=entry.fields["id"], reason=reason)
                worker.records.pop(entry.fields["id"], None)
    finally:
        for entry in entries:
            close_all(entry.listeners)


def _open_listeners(
    worker: RestorableWorker, fields: RecordFields, open_listener: Callable[[int], Socket]
) -> Listeners | None:
    listeners: list[Socket] = []
    try:
        for port in ports_of(fields):
            listeners.append(open_listener(port))
    except EngineError as error:
        close_all(listeners)
        _log.warning("worker.port_lost", worker=worker.index, proxy_id=fields["id"], reason=str(error))
        worker.records.pop(fields["id"], None)
        return None
    return listeners
