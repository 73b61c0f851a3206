"""What is asked about events."""

from typing import Annotated

from pydantic import AfterValidator, Field

from master.event_types import PATTERNS, SUBJECTS, Choice
from master.fields import LocationName, NodeName, StackNamed
from master.questions import Limit, Question
from shared.proxies import MAX_BIGINT, Id


def event_pattern(text: str) -> str:
    """A type of event, or all of a kind. Raises ValueError."""
    if text not in PATTERNS:
        raise ValueError(f"there is no such event: one of {', '.join(PATTERNS)}")
    return text


EventPattern = Annotated[str, AfterValidator(event_pattern), Field(json_schema_extra={"enum": list(PATTERNS)})]
EventPatterns = Annotated[
    list[EventPattern],
    Field(max_length=64, description="a type, or all of a kind, as in proxy.*; may be given more than once"),
]
EventId = Annotated[int, Field(ge=0, le=MAX_BIGINT)]


class EventList(Question):
    """Events, oldest first."""

    type: EventPatterns = Field(default_factory=list[str])
    node_id: Id | None = None
    node: NodeName = None
    proxy_id: Id | None = None
    stack_id: Id | None = None
    stack: StackNamed = None
    location_id: Id | None = Field(default=None, description="of the event's node at the time")
    location: LocationName = None
    limit: Limit = Field(default=50, description="of a page; a stream has none")
    after: EventId | None = Field(
        default=None, description="id of the last event known; without it a page begins with the first, a stream now"
    )

    @property
    def choice(self) -> Choice:
        """What is asked for."""
        subjects = {name: getattr(self, name) for name in SUBJECTS}
        return Choice(frozenset(self.type), {name: id_ for name, id_ in subjects.items() if id_ is not None})
