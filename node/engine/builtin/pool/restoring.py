"""Puts back into a worker what it should run and does not."""

from _socket import socket as Socket  # noqa: N812 (the base class; the wrapper of the library costs 3 us a connection)
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import structlog

from node.engine.builtin.frames import MOST_FDS, MOST_PORTS, batches
from node.engine.builtin.pool.batches import BatchEntry
from node.engine.builtin.pool.context import Listeners, RecordFields, close_all, ports_of
from node.engine.interface import EngineError
from shared.tasks import for_each

_AT_ONCE = 4
"""Orders: as one is obeyed the next are got ready, and a worker that shares its core does not wait for them."""

_log = structlog.get_logger(__name__)


class RestorableWorker(Protocol):
    """As much of a worker as is needed to put its records back; see `worker_handle.RestorableWorker`."""

    ports: dict[int, tuple[int, ...]]
    records: dict[int, RecordFields]

    @property
    def index(self) -> int: ...

    async def call(self, op: str, /, **fields: Any) -> Any: ...

    async def put_together(self, entries: Sequence[BatchEntry]) -> list[bool | str]: ...


async def restore(worker: RestorableWorker, opened: Callable[[int], Socket]) -> None:
    """What its `records` say, and nothing that is stopped meanwhile. Raises EngineError.

    One whose port cannot be opened any more is not run again.
    """
    failed: list[EngineError] = []

    async def some(ids: Sequence[int]) -> None:
        if not failed:
            try:
                await _restore(worker, ids, opened)
            except EngineError as error:
                failed.append(error)

    missing = [id_ for id_ in worker.records if id_ not in worker.ports]
    await for_each(batches(missing, MOST_FDS // MOST_PORTS), some, at_once=_AT_ONCE)
    if failed:
        raise failed[0]


async def recall(worker: RestorableWorker) -> None:
    """Asks one that was found for the records it runs, so that they can be put back. Raises EngineError."""
    unknown = [id_ for id_, ports in worker.ports.items() if ports and id_ not in worker.records]
    for ids in batches(unknown, MOST_FDS):
        for told in await worker.call("records", ids=ids):
            if worker.ports.get(told["id"]):
                worker.records.setdefault(told["id"], told)


async def _restore(worker: RestorableWorker, ids: Sequence[int], opened: Callable[[int], Socket]) -> None:
    """The order goes out in the same turn in which it is seen that these shall run."""
    entries: list[BatchEntry] = []
    try:
        for id_ in ids:
            told = worker.records.get(id_)
            listeners = _opened(worker, told, opened) if told is not None else None
            if told is not None and listeners is not None:
                entries.append(BatchEntry(told, listeners))
        for entry, answer in zip(entries, await worker.put_together(entries), strict=True):
            if answer is True:
                worker.ports[entry.told["id"]] = ports_of(entry.told)
            else:
                reason = answer or "it takes other listeners"
                _log.error("worker.not_restored", worker=worker.index, proxy_id=entry.told["id"], reason=reason)
                worker.records.pop(entry.told["id"], None)
    finally:
        for entry in entries:
            close_all(entry.listeners)


def _opened(worker: RestorableWorker, told: RecordFields, opened: Callable[[int], Socket]) -> Listeners | None:
    listeners: list[Socket] = []
    try:
        for port in ports_of(told):
            listeners.append(opened(port))
    except EngineError as error:
        close_all(listeners)
        _log.warning("worker.port_lost", worker=worker.index, proxy_id=told["id"], reason=str(error))
        worker.records.pop(told["id"], None)
        return None
    return listeners
