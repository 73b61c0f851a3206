"""The interface by which relays ask for permission to move bytes, where a proxy's bandwidth or traffic is limited."""

from typing import Protocol

from node.engine.builtin.net.stage import Stage

UP, DOWN = 0, 1
"""Directions: from the client to the destination, and back."""


class Relay(Stage, Protocol):
    """A stage that moves bytes subject to a rate limit."""

    def resume(self) -> None:
        """Continue reading after a wait."""
        ...


Levels = tuple[float, float]
"""Bytes saved up or overdrawn in each direction."""


class RateLimit(Protocol):
    """The limits of one proxy, shared by its relays; Throttle implements it."""

    @property
    def levels(self) -> Levels | None:
        """The current levels; None if bandwidth is not limited."""
        ...

    def restore(self, levels: Levels) -> None:
        """Continue with the levels of the process that ran the proxy before."""
        ...

    def tune(self, bandwidth_bps: int | None) -> None:
        """Set the bandwidth in each direction, in bits a second; None removes the limit and releases all waiting
        relays."""
        ...

    def allowance(self, relay: Relay, direction: int, requested: int) -> int:
        """Bytes that may move now, at most `requested`. After 0, `relay.resume()` is called when there are more.

        Nothing is reserved: the proxy's counters show what really moved, once the receiver has taken it.
        """
        ...
