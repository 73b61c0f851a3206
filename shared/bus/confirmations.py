"""Decides when a broker that confirms no messages is left. Pure: times are monotonic seconds."""

from dataclasses import dataclass
from math import inf

CONFIRM_S = 10.0
FIRST_CONFIRM_S = 5.0
"""Limits of a confirmation, and of the first one over a new connection.

A channel that was opened while a quorum queue had just lost its leader may never get one (seen on RabbitMQ 3.10), and
publishes over another connection at once.
"""
LEAVE_EVERY_S = 60.0
"""A queue without a majority confirms nothing over any connection: messages to it must not end every one of them."""


@dataclass(slots=True)
class Confirmations:
    """The last confirmation over the present connection, and the last time that one was left for want of it."""

    confirmed_at: float = -inf
    left_at: float = -inf

    @property
    def limit_s(self) -> float:
        """The time in which the next message has to be confirmed."""
        return FIRST_CONFIRM_S if self.confirmed_at == -inf else CONFIRM_S

    def opened(self) -> None:
        """Start with a new connection."""
        self.confirmed_at = -inf

    def confirmed(self, now: float) -> None:
        """Note a confirmation."""
        self.confirmed_at = now

    def is_stuck(self, sent_at: float, now: float) -> bool:
        """Whether to leave the connection because of a message that was not confirmed in time."""
        if sent_at <= self.confirmed_at and now - self.left_at < LEAVE_EVERY_S:
            return False
        self.left_at = now
        return True
