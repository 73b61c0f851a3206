"""What is asked about locations."""

from pydantic import Field

from master.questions import Labelled, Paging, Question, Text


class LocationFilter(Labelled):
    """Which locations."""

    name: Text | None = None
    country: Text | None = None


class LocationList(LocationFilter, Paging):
    """A page of locations."""


class Rebalancing(Question):
    """Whether a location is really balanced."""

    dry_run: bool = Field(default=False, description="only tell which proxies would move")
