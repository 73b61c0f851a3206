"""What becomes of stacks when their proxies are taken away one by one, and not by their stack."""

from collections import Counter
from collections.abc import Sequence

from master.db.database import Row, Session
from master.domain.events.log import NewEvent


async def scaled_down(session: Session, rows: Sequence[Row]) -> list[NewEvent]:
    """Each stack of these proxies, which are gone already, wants so many fewer: to be recorded."""
    went = Counter(row["stack_id"] for row in rows if row["stack_id"] is not None)
    stacks = await session.rows("proxies.select_stacks", ids=sorted(went)) if went else []
    return [scaled(stack, stack["count"] + went[stack["id"]], stack["count"]) for stack in stacks]


def scaled(stack: Row, before: int, count: int) -> NewEvent:
    """A stack has more or fewer proxies."""
    details = {"name": stack["name"], "before": before, "count": count}
    return NewEvent(type="stack.scaled", stack_id=stack["id"], details=details)
