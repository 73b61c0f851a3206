"""One connection to the broker, by one configuration."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from node.state.broker_moves import BrokerConfig
from shared.bus.addresses import BrokerAddresses
from shared.bus.client import Bus
from shared.bus.failures import BusState
from shared.bus.intake import Handler

HOPELESS: tuple[BusState, ...] = ("refused", "untrusted")
"""States of a new connection that no further try heals."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MoveTimes:
    """Seconds. A new connection may take `trial_s` to come up; the old one is kept for `linger_s` after that, so that
    messages under way arrive. While earlier addresses are kept, a connection that is down for `patience_s`, or over
    which no master is heard for `silence_s`, sends the node back to them. A new connection has the queue to itself for
    `make_way_s`."""

    trial_s: float = 30.0
    linger_s: float = 1.5
    patience_s: float = 30.0
    silence_s: float = 600.0
    make_way_s: float = 5.0


MOVE_TIMES = MoveTimes()


class Connect(Protocol):
    """Makes a bus to these addresses."""

    def __call__(self, addresses: BrokerAddresses, handler: Handler, on_up: Callable[[], Awaitable[None]]) -> Bus: ...


class BrokerConnection:
    """A connection by one configuration, and the task that keeps it up."""

    def __init__(self, config: BrokerConfig, bus: Bus) -> None:
        self.config, self.bus = config, bus
        self.down_since: float | None = time.monotonic()
        """None while it is up."""
        self.heard_at = time.monotonic()
        """When a message came over it, or when it was opened."""
        self.task: asyncio.Task[None] | None = None

    @property
    def is_up(self) -> bool:
        """Whether the broker is connected."""
        return self.bus.state == "up"

    def note_state(self) -> None:
        """Note when it has come up or gone down."""
        if self.is_up:
            self.down_since = None
        elif self.down_since is None:
            self.down_since = time.monotonic()

    def endurable_for(self, times: MoveTimes) -> float:
        """Compute the seconds for which it may stay as it is before earlier addresses are tried."""
        if self.down_since is not None:
            return self.down_since + times.patience_s - time.monotonic()
        return self.heard_at + times.silence_s - time.monotonic()

    @property
    def is_hopeless(self) -> bool:
        """Whether every address refuses the login, or is not trusted."""
        failures = self.bus.failures
        return bool(failures) and all(each.state in HOPELESS for each in failures)

    @property
    def reason(self) -> str:
        """Why it is not usable."""
        if self.is_up:
            return "no master is heard there"
        known = [f"{each.endpoint}: {each.reason or each.state}" for each in self.bus.failures]
        return "; ".join(known) or f"the broker does not answer ({self.bus.state})"


def first_up(links: Iterable[BrokerConnection]) -> BrokerConnection | None:
    """Return the first connection that is up."""
    return next((link for link in links if link.is_up), None)
