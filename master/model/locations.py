"""Locations, as the API shows them."""

from datetime import datetime

from pydantic import Field

from master.model import Row, Shown


class Location(Shown):
    """A place where nodes stand."""

    id: int
    name: str
    country: str | None = Field(description="ISO 3166-1 alpha-2")
    labels: dict[str, str]
    created_at: datetime
    updated_at: datetime


def shown_location(row: Row) -> Location:
    """Out of a row of `locations`."""
    return Location.model_validate(dict(row))
