"""Rows that must exist, and texts that PostgreSQL can store."""

from master.db.database import Row
from master.errors import NotFound


def existing(row: Row | None, noun: str, id_: int) -> Row:
    """Return the row. Raises NotFound, whose member `<noun>_id` is the id."""
    if row is None:
        raise NotFound(f"there is no {noun} {id_}", {f"{noun}_id": id_})
    return row


def storable(text: str) -> str:
    """Remove NUL, the one character that PostgreSQL cannot store."""
    return text.replace("\x00", "")
