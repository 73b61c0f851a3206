"""Publishing to a node over the connection by which it was heard last, or over all while that is unknown."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from master.broker_links.connections import LinkConnection
from master.broker_links.side_by_side import any_of
from shared.bus.client import Bus
from shared.bus.failures import BusDown

GRACE_S = 1.0
"""When one broker has a message of a node that was not heard yet, the others have so much time more."""


async def publish_over(towards: Sequence[LinkConnection], publish: Callable[[Bus], Awaitable[object]]) -> None:
    """Publish over each of these, side by side; one that takes the message is enough. Raises BusDown."""
    if not towards:
        raise BusDown("no broker is known yet")
    await any_of([partial(publish, each.bus) for each in towards], failures=(BusDown,), grace_s=GRACE_S)
