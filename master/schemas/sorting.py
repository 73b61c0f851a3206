"""Orders of lists, and the cursors that carry the key of the last item. Pure."""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BeforeValidator, Field, ValidationInfo, WithJsonSchema, field_validator

from master.schemas.base import Limit, Query, Row, single_value
from shared.proxies import MAX_BIGINT

Sort = Literal["id", "-id", "name", "-name", "created_at", "-created_at", "updated_at", "-updated_at"]
SortById = Literal["id", "-id"]
NOT_OURS = "no cursor of this list"
BY_ID: Any = "id"
"""The default order, which each list has."""
MOST_LETTERS = 2000
FORM = re.compile(r"(-?[a-z_]+) ([0-9]{1,19}) ([^\x00]*)", re.S)


@dataclass(frozen=True, slots=True)
class Position:
    """The last item of a page: its id and, unless the list is sorted by id, the value that it is sorted by."""

    sort: str
    id: int
    key: str | datetime = ""


def position_text(position: Position) -> str:
    """Return the cursor of a position."""
    key = position.key.isoformat() if isinstance(position.key, datetime) else position.key
    return base64.urlsafe_b64encode(f"{position.sort} {position.id} {key}".encode()).decode().rstrip("=")


def read_position(text: str) -> Position:
    """Read a cursor. Raises ValueError."""
    try:
        decoded = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode() if len(text) <= MOST_LETTERS else ""
        match = FORM.fullmatch(decoded)
        position = Position(match[1], int(match[2]), key_of(match[1], match[3])) if match else None
    except (binascii.Error, ValueError) as error:
        raise ValueError(NOT_OURS) from error
    if position is None or position.id > MAX_BIGINT or position_text(position) != text:
        raise ValueError(NOT_OURS)
    return position


def key_of(sort: str, text: str) -> str | datetime:
    """Read the key of an order. Raises ValueError."""
    match sort.removeprefix("-"):
        case "id" if text:
            raise ValueError(NOT_OURS)
        case "id" | "name":
            return text
        case _:
            key = datetime.fromisoformat(text)
    if key.tzinfo is None:
        raise ValueError(NOT_OURS)
    return key


SortedCursor = Annotated[
    Annotated[
        Position, BeforeValidator(read_position), BeforeValidator(single_value), WithJsonSchema({"type": "string"})
    ]
    | None,
    Field(
        description="The `next` of the previous page, with the same `sort`. Without it the list begins at the first "
        "item."
    ),
]


S = TypeVar("S", bound=str)


class Sorted(Query, Generic[S]):
    """The order of a list, and the part of it to return."""

    limit: Limit = 50
    sort: S = Field(
        default=BY_ID,
        description="The order, descending with a `-`. Names are ordered without regard to case. Among equals the id "
        "decides. An item without a value counts as greater than all others.",
    )
    after: SortedCursor = None

    @field_validator("after")
    @classmethod
    def of_this_order(cls, after: Position | None, info: ValidationInfo) -> Position | None:
        """Raises ValueError for a cursor of another order."""
        if after is not None and after.sort != info.data.get("sort", after.sort):
            raise ValueError(f"a cursor of the list sorted by {after.sort}: give the same sort, or begin without after")
        return after

    @property
    def position(self) -> dict[str, Any]:
        """Return the parameters of a statement in this order."""
        keyed = {} if self.sort in ("id", "-id") else {"after_key": self.after.key if self.after else None}
        return {"after_id": self.after.id if self.after else None, "limit": self.limit, **keyed}

    def next_after(self, rows: Sequence[Row]) -> str | None:
        """Return the cursor of the page after these rows, which have a `sort_key`. A full page may be the last."""
        if len(rows) < self.limit:
            return None
        key = "" if self.sort in ("id", "-id") else rows[-1]["sort_key"]
        return position_text(Position(self.sort, rows[-1]["id"], key))
