"""Bodies of answers that are not one thing: pages, outcomes, health."""

from collections.abc import Sequence

from master.domain.locations.schemas import Location
from master.domain.nodes.schemas import Node
from master.domain.proxies.schemas import Proxy
from master.domain.stacks.schemas import Stack
from master.schemas.cursors import cursor


def next_cursor(items: Sequence[Location | Node | Proxy | Stack], limit: int) -> str | None:
    """Where the list goes on; a full page may be followed by an empty one."""
    return cursor(items[-1].id) if len(items) == limit else None
