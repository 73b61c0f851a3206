"""The interface between the agent and the engines that run proxies.

Two engines implement it: `node.engine.builtin` and `node.engine.three_proxy`. One contract test runs over both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from shared.proxies import ProxyId, ProxyRecord, Version


class EngineError(Exception):
    """A proxy could not be started. The text is a reason for people, without secrets: "port 20001 is taken"."""


class EnginePortTaken(EngineError):
    """Another program uses the proxy's port."""


class ExitFailed(EngineError):
    """The host cannot use the proxy's exit; the agent tries again when the host's addresses change."""


class Engine(Protocol):
    """Starts and stops proxies. Start and stop are idempotent; `running` reports the actual state, not the requested
    one.

    An engine's proxies outlive the agent: leaving the engine's context leaves them running, and an engine opened on the
    same directory finds them again.
    """

    at_once: int
    """How many concurrent starts are useful."""

    async def running(self) -> Mapping[ProxyId, Version]:
        """The proxies that accept connections at this moment."""
        ...

    async def start(self, proxy: ProxyRecord) -> None:
        """Run this record in place of whatever runs under its id.

        A new version with the same port takes over without a gap and, as far as the engine can, without affecting
        connections that still satisfy it. If it fails, the previous version continues. Raises EngineError.
        """
        ...

    async def stop(self, proxy_id: ProxyId) -> None:
        """Close the listener and all open connections of this proxy; does nothing if the proxy is unknown."""
        ...


@dataclass(frozen=True, slots=True)
class Condition:
    """Why a proxy whose port is open serves nobody for now. The reason is for people, without secrets."""

    kind: Literal["limited", "expired", "failed"]
    reason: str


@runtime_checkable
class Limiting(Protocol):
    """An engine that knows which of its running proxies serve nobody: limits suspend them, or their process is stopped.

    They are reported as running as well, because their ports are open.
    """

    async def conditions(self) -> Mapping[ProxyId, Condition]:
        """The proxies that serve nobody at this moment; all others serve."""
        ...


@dataclass(frozen=True, slots=True)
class Counters:
    """The usage of one proxy in one life of its counters.

    Within an `epoch` all figures only grow, so adding up the highest figures of each epoch counts nothing twice. Epochs
    of one proxy are different numbers, later ones higher as long as the clock is right; several may be reported at
    once, the earlier ones finished. `received_bytes` came from clients, `sent_bytes` went to them. `refused` counts
    refusals by reason, a lower-case word: login, source, limit, quota, expired, destination, ...
    """

    id: ProxyId
    epoch: int
    received_bytes: int
    sent_bytes: int
    connections: int
    refused: Mapping[str, int]


@runtime_checkable
class Counting(Protocol):
    """An engine that counts usage."""

    async def usage(self) -> Sequence[Counters]:
        """All epochs that are still counting or not yet acknowledged by `taken`, also of removed proxies; only figures
        that are on disk.

        Epochs that counted nothing are left out, and so are worker processes while they do not answer.
        """
        ...

    async def taken(self, counters: Sequence[Counters]) -> None:
        """Acknowledge counters that are stored elsewhere: a finished epoch with these figures is not reported again.

        Epochs that are still counting continue to be reported, so all reported values may be passed here. A finished
        epoch that nobody acknowledges is kept until there are thousands of later ones.
        """
        ...


@runtime_checkable
class Gauging(Protocol):
    """An engine that knows how many connections are open."""

    async def connections(self) -> Mapping[ProxyId, int]:
        """The clients' connections that are open at this moment, without proxies that have none.

        Connections of worker processes that do not answer are left out.
        """
        ...
