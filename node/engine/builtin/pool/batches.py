"""Collects records that are put at about the same time into one command."""

import asyncio
from _socket import socket as Socket  # noqa: N812 (the base class; the wrapper of the library costs 3 us a connection)
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from node.engine.builtin.frames import MAX_FDS, MAX_PORTS
from node.engine.interface import EngineError
from shared.proxies import Destinations, Exit, Limits, ProxyRecord

_USUAL_EXIT, _UNLIMITED, _ANYWHERE = Exit(), Limits(), Destinations()


def record_fields(proxy: ProxyRecord) -> dict[str, Any]:
    """The fields of a record, for `policy.records.read_record`. `exit`, `limits` and `destinations` leave out defaults,
    because there are many records."""
    fields: dict[str, Any] = {
        "id": proxy.id,
        "version": proxy.version,
        "protocol": proxy.protocol,
        "port": proxy.port,
        "username": proxy.username,
        "password": proxy.password,
        "allow_ips": proxy.allow_ips,
        "exit": _unusual(_USUAL_EXIT, proxy.exit),
        "limits": _unusual(_UNLIMITED, proxy.limits),
        "also": [each.model_dump() for each in proxy.also],
    }
    destinations = _unusual(_ANYWHERE, proxy.destinations)
    if destinations:
        fields["destinations"] = destinations
    if proxy.tls:
        fields["tls"] = True
    return fields


def _unusual(usual: BaseModel, given: BaseModel) -> dict[str, Any]:
    """The fields that differ from the defaults. Comparing members takes a tenth of the time of comparing models."""
    return {} if given.__dict__ == usual.__dict__ else given.model_dump(mode="json", exclude_defaults=True)


@dataclass(frozen=True, slots=True)
class BatchEntry:
    """The fields of a record, and the listeners that are sent with it, if any."""

    fields: Mapping[str, Any] = field(repr=False)
    listeners: Sequence[Socket] = ()


Put = Callable[[Sequence[BatchEntry]], Awaitable[Sequence[bool | str]]]
"""For each entry True if it runs now, False if it needs listeners, or the reason why it does not run. Raises
EngineError."""


class Batches:
    """Puts all entries of one iteration of the event loop by one command."""

    def __init__(self, put: Put) -> None:
        self._put = put
        self._open: _Batch | None = None

    async def put(self, entry: BatchEntry) -> bool | str:
        """Put an entry, and return its answer. Raises EngineError."""
        batch, first = self._open, False
        if batch is None or batch.closed:
            batch, first = _Batch(), True
            self._open = batch
        index = batch.add(entry)
        if first:
            await batch.run(self._put)
        return await batch.answer(index)


class _Batch:
    """The task that created a batch runs it; all tasks that added an entry wait for their answers."""

    def __init__(self) -> None:
        self._entries: list[BatchEntry] = []
        self._answers: Sequence[bool | str] = ()
        self._error: EngineError | None = None
        self._done = asyncio.Event()
        self.closed = False

    def add(self, entry: BatchEntry) -> int:
        """Add an entry, and return its position."""
        self._entries.append(entry)
        self.closed = len(self._entries) == MAX_FDS // MAX_PORTS
        return len(self._entries) - 1

    async def run(self, put: Put) -> None:
        """Put the entries after this iteration of the event loop. Waiting tasks get an EngineError as well."""
        self._error = EngineError("the command was cancelled")
        try:
            await asyncio.sleep(0)
            self.closed = True
            self._answers = await put(self._entries)
            self._error = None
        except EngineError as error:
            self._error = error
        finally:
            self.closed = True
            self._done.set()

    async def answer(self, index: int) -> bool | str:
        """Raises EngineError."""
        if not self._done.is_set():
            await self._done.wait()
        if self._error is not None:
            raise self._error
        return self._answers[index]
