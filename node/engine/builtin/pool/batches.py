"""Orders to put proxies that come at about the same time, gathered into one."""

import asyncio
from _socket import socket as Socket  # noqa: N812 (the base class; the wrapper of the library costs 3 us a connection)
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from node.engine.builtin.frames import MOST_FDS, MOST_PORTS
from node.engine.interface import EngineError
from shared.proxies import Destinations, Exit, Limits, ProxyRecord

_USUAL_EXIT, _UNLIMITED, _ANYWHERE = Exit(), Limits(), Destinations()


def record_fields(proxy: ProxyRecord) -> dict[str, Any]:
    """What `read_record` reads. What is as usual of `exit`, `limits` and `destinations` is left out: there are many."""
    told: dict[str, Any] = {
        "id": proxy.id,
        "version": proxy.version,
        "protocol": proxy.protocol,
        "port": proxy.port,
        "username": proxy.username,
        "password": proxy.password,
        "allow_ips": proxy.allow_ips,
        "exit": _unlike(_USUAL_EXIT, proxy.exit),
        "limits": _unlike(_UNLIMITED, proxy.limits),
        "also": [each.model_dump() for each in proxy.also],
    }
    destinations = _unlike(_ANYWHERE, proxy.destinations)
    return {**told, "destinations": destinations} if destinations else told


def _unlike(usual: BaseModel, given: BaseModel) -> dict[str, Any]:
    """Comparing members costs a tenth of comparing models."""
    return {} if given.__dict__ == usual.__dict__ else given.model_dump(mode="json", exclude_defaults=True)


@dataclass(frozen=True, slots=True)
class BatchEntry:
    """A record as a worker is told it, and the listeners that it takes, if it takes some."""

    told: Mapping[str, Any] = field(repr=False)
    listeners: Sequence[Socket] = ()


Put = Callable[[Sequence[BatchEntry]], Awaitable[Sequence[bool | str]]]
"""For each whether it runs now, False: it takes listeners, a text: why not. Raises EngineError."""


class Batches:
    """Puts what comes in the same turn of the event loop by one order."""

    def __init__(self, put: Put) -> None:
        self._put = put
        self._open: _Batch | None = None

    async def put(self, entry: BatchEntry) -> bool | str:
        """The answer for this one. Raises EngineError."""
        batch, first = self._open, False
        if batch is None or batch.closed:
            batch, first = _Batch(), True
            self._open = batch
        place = batch.add(entry)
        if first:
            await batch.run(self._put)
        return await batch.answer(place)


class _Batch:
    """Whoever made it runs it; all who added to it wait for their answers."""

    def __init__(self) -> None:
        self._entries: list[BatchEntry] = []
        self._answers: Sequence[bool | str] = ()
        self._error: EngineError | None = None
        self._done = asyncio.Event()
        self.closed = False

    def add(self, entry: BatchEntry) -> int:
        """Its place."""
        self._entries.append(entry)
        self.closed = len(self._entries) == MOST_FDS // MOST_PORTS
        return len(self._entries) - 1

    async def run(self, put: Put) -> None:
        """Once those of this turn of the event loop have been added. Who waits is told of an EngineError as well."""
        self._error = EngineError("the order was given up")
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

    async def answer(self, place: int) -> bool | str:
        """Raises EngineError."""
        if not self._done.is_set():
            await self._done.wait()
        if self._error is not None:
            raise self._error
        return self._answers[place]
