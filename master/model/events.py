"""Events, as the API shows them."""

from datetime import datetime
from typing import Any

from pydantic import Field

from master.event_types import TYPES
from master.model import Row, Shown


class Event(Shown):
    """Something that happened. Details never hold a secret."""

    id: int = Field(description="grows; may be given as `after`")
    at: datetime
    type: str = Field(json_schema_extra={"enum": list(TYPES)})
    node_id: int | None
    proxy_id: int | None
    stack_id: int | None
    location_id: int | None
    details: dict[str, Any]


def shown_event(row: Row) -> Event:
    """Out of a row of `events`."""
    return Event.model_validate(dict(row))
