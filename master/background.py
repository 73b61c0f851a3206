"""How the master's background loops survive a database or broker that is away, restored or broken for a while."""

from collections.abc import Awaitable, Callable

from master.errors import BrokerAway, DatabaseAway, DatabaseError
from shared.tasks import Backoff, Endurance
from shared.tasks import keep_on as keep_taking_turns

RETRY_MOST_S = 3.0
"""Between two tries of a loop that fails."""


def endurance(most_s: float = RETRY_MOST_S) -> Endurance:
    """Survive an absence without end, and an unforeseen database error for minutes; `most_s` is between two tries."""
    return Endurance(away=(DatabaseAway, BrokerAway), failed=(DatabaseError,), backoff=Backoff(most_s=most_s))


async def keep_on(turn: Callable[[], Awaitable[None]], loop: str, *, most_s: float = RETRY_MOST_S) -> None:
    """Take turns until cancelled. Raises bugs at once, and an unforeseen database error after minutes of it."""
    await keep_taking_turns(turn, loop=loop, endurance=endurance(most_s))
