"""What the workers of one directory have in common, and what all that steers them call things."""

from _socket import socket as Socket  # noqa: N812 (the base class; the wrapper of the library costs 3 us a connection)
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node.engine.builtin.pool.spawner import Spawner
from node.engine.interface import EngineError

RecordFields = Mapping[str, Any]
"""A record as it crosses the control socket."""

Listeners = Sequence[Socket]


class WorkerGoneError(EngineError):
    """There is no such process, so nothing runs in it."""


@dataclass(frozen=True, slots=True)
class PoolContext:
    """Where workers live.

    `opened` opens a listener at a port, or raises EngineError. `changed` is called when a worker is back, will not come
    back, or answers again after it did not. `configuration` is told to whatever process is found or started.
    """

    directory: Path
    spawner: Spawner
    opened: Callable[[int], Socket]
    changed: Callable[[], None]
    configuration: Mapping[str, Any]


def ports_of(told: RecordFields) -> tuple[int, ...]:
    """All that it listens on, its own first."""
    also = told.get("also")
    return tuple(dict.fromkeys((told["port"], *(each["port"] for each in also)))) if also else (told["port"],)


def close_all(listeners: Listeners) -> None:
    for listener in listeners:
        listener.close()
