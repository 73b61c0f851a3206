"""Count labels."""

from master.db.database import Session
from master.domain.labels.schemas import LabelList, LabelUse, LabelUses

MOST_KEYS = 1_000
MOST_VALUES = 20
MOST_VALUES_OF_ONE_KEY = 1_000


async def uses(session: Session, query: LabelList) -> LabelUses:
    """Return the keys and values that are in use."""
    rows = await session.rows(
        "labels.select_keys",
        kind=query.kind,
        key=query.key,
        prefix=query.q.lower() if query.q is not None else None,
        most_keys=MOST_KEYS,
        most_values=MOST_VALUES if query.key is None else MOST_VALUES_OF_ONE_KEY,
    )
    return LabelUses(items=[LabelUse.model_validate(row) for row in rows])
