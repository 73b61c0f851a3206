"""Where a proxy's relays ask before they move bytes, if its bandwidth is limited."""

from typing import Protocol

from node.engine.builtin.net.reactor import Stage

UP, DOWN = 0, 1
"""Directions: from the client to the destination, and back."""


class Relay(Stage, Protocol):
    def resume(self) -> None:
        """Reads on where it had to wait."""
        ...


Levels = tuple[float, float]
"""Bytes that are saved up or overdrawn in each direction."""


class RateLimit(Protocol):
    @property
    def levels(self) -> Levels | None:
        """As of now; None where no bandwidth is limited."""
        ...

    def go_on(self, levels: Levels) -> None:
        """With what another process had left."""
        ...

    def tune(self, bandwidth_bps: int | None) -> None:
        """Bits a second in each direction from now on; None: as much as goes, and nobody waits any more."""
        ...

    def allowance(self, relay: Relay, direction: int, wanted: int) -> int:
        """Bytes that may move now, at most `wanted`. After 0, `relay.resume()` is called when there are more.

        Nothing is reserved: what really moved is in the service's counters, once the receiver has taken it.
        """
        ...
