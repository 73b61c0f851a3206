"""The seam between the agent and whatever runs proxies.

Two engines stand behind it: `node.engine.builtin` and `node.engine.three_proxy`. One contract test runs over both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from shared.proxies import ProxyId, ProxyRecord, Version


class EngineError(Exception):
    """A proxy could not be started. The text is a reason for a person, without secrets: "port 20001 is taken"."""


class EnginePortTaken(EngineError):
    """The proxy's port is held by a program that is not ours."""


class ExitFailed(EngineError):
    """The host cannot let the proxy's connections leave by its exit; the exit is tried again when addresses change."""


class Engine(Protocol):
    """Starts and stops proxies. Start and stop are idempotent; `running` tells the truth, not what was asked.

    An engine outlives its agent: leaving the engine's context leaves the proxies running, and an engine opened on the
    same directory finds them again.
    """

    at_once: int
    """How many starts at the same time do it good."""

    async def running(self) -> Mapping[ProxyId, Version]:
        """What accepts connections at this moment."""
        ...

    async def start(self, proxy: ProxyRecord) -> None:
        """Run this record in place of whatever runs under its id.

        A new version with the same port takes over without a gap and without touching connections that still satisfy
        it (as far as the engine can). When it fails, what ran before runs on. Raises EngineError.
        """
        ...

    async def stop(self, proxy_id: ProxyId) -> None:
        """Close the listener and every open connection of this proxy; nothing happens when it is unknown."""
        ...


@dataclass(frozen=True, slots=True)
class Condition:
    """Why a proxy that holds its port serves nobody for now. The reason is for a person, without secrets."""

    kind: Literal["limited", "expired", "failed"]
    reason: str


@runtime_checkable
class Limiting(Protocol):
    """An engine that holds proxies to their limits. What it tells here is running as well: its port is open."""

    async def conditions(self) -> Mapping[ProxyId, Condition]:
        """The proxies that are held back at this moment; those that are not named serve."""
        ...


@dataclass(frozen=True, slots=True)
class Counters:
    """What was counted for one proxy in one life of its counters.

    All figures only ever grow within one `epoch`, and whoever adds the highest of each epoch up has counted nothing
    twice. Epochs of one proxy are different numbers, later ones higher as long as the clock is right; there may be
    several at once, the earlier ones finished. `received_bytes` came from clients, `sent_bytes` went to them.
    `refused` says how often by reason, a lower-case word: login, source, limit, quota, expired, destination, ...
    """

    id: ProxyId
    epoch: int
    received_bytes: int
    sent_bytes: int
    connections: int
    refused: Mapping[str, int]


@runtime_checkable
class Counting(Protocol):
    """An engine that counts."""

    async def usage(self) -> Sequence[Counters]:
        """Every epoch that is still counting or not yet taken, removed proxies included; only what is on disk.

        Epochs that counted nothing are left out. Worker processes that do not answer are left out until they do.
        """
        ...

    async def taken(self, counters: Sequence[Counters]) -> None:
        """These are safe elsewhere: a finished epoch whose figures are these is not told again.

        What is still counting is told on, so every told value may be given back here. A finished epoch that nobody
        takes is kept until there are thousands of later ones.
        """
        ...
