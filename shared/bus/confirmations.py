"""Decides when a broker that confirms no messages is left. Pure: times are monotonic seconds."""

from dataclasses import dataclass, field
from math import inf

CONFIRM_S = 10.0
FIRST_CONFIRM_S = 5.0
"""Limits of a confirmation, and of the first one over a new connection."""
WINDOW_S = 60.0
MOST_LEFT = 5
"""A connection that was opened while a quorum queue had lost its leader may refuse every message, and another one takes
them a second later (seen on RabbitMQ 3.10). But a queue without a majority confirms nothing over any connection, so at
most so many are left within the window, and only one while other messages are confirmed."""


@dataclass(slots=True)
class Confirmations:
    """The last confirmation over the present connection, and the times at which connections were left."""

    confirmed_at: float = -inf
    left_at: list[float] = field(default_factory=list[float])

    @property
    def is_proven(self) -> bool:
        """Whether the present connection has confirmed a message."""
        return self.confirmed_at > -inf

    @property
    def limit_s(self) -> float:
        """The time in which the next message has to be confirmed."""
        return CONFIRM_S if self.is_proven else FIRST_CONFIRM_S

    def opened(self) -> None:
        """Start with a new connection."""
        self.confirmed_at = -inf

    def confirmed(self, now: float) -> None:
        """Note a confirmation."""
        self.confirmed_at = now

    def is_stuck(self, now: float, since: float = -inf) -> bool:
        """Whether to leave the connection: a message was refused, or one sent at `since` was not confirmed in time."""
        self.left_at = [left for left in self.left_at if now - left < WINDOW_S]
        if len(self.left_at) >= (1 if self.confirmed_at > since else MOST_LEFT):
            return False
        self.left_at.append(now)
        return True
