"""Interfaces between the reactor and the connections that it drives."""

from typing import Protocol


class Stage(Protocol):
    """The current activity of a connection; it receives the events of the connection's descriptors."""

    @property
    def owner(self) -> object:
        """The proxy in whose turn deferred work is done, or any object that stands for it."""
        ...

    def ready(self, fd: int, events: int) -> None:
        """Handle the events `events` (an epoll mask) of a descriptor."""
        ...

    def close(self) -> None:
        """Close every descriptor of this connection. Calling it again does nothing."""
        ...

    def abort(self) -> None:
        """Close after an error, in a way that the other side can tell from a regular end."""
        ...


class TimedStage(Stage, Protocol):
    """A stage with a time limit."""

    def expire(self) -> None:
        """Handle the end of the time limit."""
        ...


class RacingStage(Stage, Protocol):
    """A stage that starts another attempt after a while, without giving up the first."""

    def try_next(self) -> None:
        """Start the next attempt."""
        ...


class ReactorConnection(Protocol):
    """The part of a `Connection` that the reactor uses. The protocol keeps `reactor` independent of `connection`, which
    imports it."""

    fd: int
    """-1 once the connection is closed."""

    def keep_alive(self) -> None:
        """Enable what only a lasting connection needs."""
        ...

    def stop_batching(self) -> None:
        """Have incoming data reported at once again."""
        ...


class Evictable(Protocol):
    """A client that has not been admitted, as the reactor sees it. The class is `sessions.client.Client`, which is
    above this package."""

    def evict(self) -> None:
        """Close the connection to make room for another one."""
        ...
