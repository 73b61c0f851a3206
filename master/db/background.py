"""Background loops that survive a database or broker that is away, restored or broken for a while."""

from collections.abc import Awaitable, Callable

from master.errors import BrokerAway, DatabaseAway, DatabaseError
from shared.tasks import Backoff, Endurance
from shared.tasks import keep_on as keep_on_enduring

MAX_RETRY_S = 3.0
"""The longest pause between two attempts of a failing loop."""


def endurance(most_s: float = MAX_RETRY_S) -> Endurance:
    """Survive an absence of any length, and an unforeseen database error for minutes; retry within `most_s`."""
    return Endurance(away=(DatabaseAway, BrokerAway), failed=(DatabaseError,), backoff=Backoff(most_s=most_s))


async def keep_on(turn: Callable[[], Awaitable[None]], loop: str, *, most_s: float = MAX_RETRY_S) -> None:
    """Repeat `turn` until cancelled. Raises bugs at once, and an unforeseen database error that lasts for minutes."""
    await keep_on_enduring(turn, loop=loop, endurance=endurance(most_s))
