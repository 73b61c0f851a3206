"""Definitions shared by the agent's side of the workers of one directory."""

from _socket import socket as Socket  # noqa: N812 (the base class; the wrapper of the library costs 3 us a connection)
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node.engine.builtin.pool.spawner import Spawner
from node.engine.interface import EngineError

RecordFields = Mapping[str, Any]
"""The fields of a record, as sent to a worker."""

Listeners = Sequence[Socket]


class WorkerGoneError(EngineError):
    """The worker process does not exist, so no proxy runs in it."""


@dataclass(frozen=True, slots=True)
class PoolContext:
    """The environment of the workers of one directory."""

    directory: Path
    """Where the workers have their locks, sockets and logs."""
    spawner: Spawner
    open_listener: Callable[[int], Socket]
    """Opens a listener at a port, or raises EngineError."""
    changed: Callable[[], None]
    """Called when a worker is back, is given up, or answers again."""
    configuration: Mapping[str, Any]
    """Sent to every process that is found or started."""


def ports_of(fields: RecordFields) -> tuple[int, ...]:
    """All ports of a record, its own first."""
    also = fields.get("also")
    return tuple(dict.fromkeys((fields["port"], *(each["port"] for each in also)))) if also else (fields["port"],)


def close_all(listeners: Listeners) -> None:
    for listener in listeners:
        listener.close()
