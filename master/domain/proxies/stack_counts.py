"""Events of stacks whose proxies were removed one by one, and not by the stack."""

from collections import Counter
from collections.abc import Sequence

from master.db.database import Row, Session
from master.domain.events.log import NewEvent


async def scaled_down_events(session: Session, rows: Sequence[Row]) -> list[NewEvent]:
    """Return an event for each stack that these removed proxies belonged to."""
    removed = Counter(row["stack_id"] for row in rows if row["stack_id"] is not None)
    stacks = await session.rows("proxies.select_stacks", ids=sorted(removed)) if removed else []
    return [scaled_event(stack, stack["count"] + removed[stack["id"]], stack["count"]) for stack in stacks]


def scaled_event(stack: Row, before: int, count: int) -> NewEvent:
    """Return the event of a changed count."""
    details = {"name": stack["name"], "before": before, "count": count}
    return NewEvent(type="stack.scaled", stack_id=stack["id"], details=details)
