"""What may be asked of a location: to be made, to be otherwise, to be balanced."""

from typing import Annotated

from pydantic import ConfigDict, Field

from master.fields import Country, LabelPatch, Labels, Name, Overlap
from master.wishes import Wish, not_given


class NewLocation(Wish):
    """A location to be made."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Frankfurt", "country": "DE"}]})

    name: Name
    country: Country | None = None
    labels: Labels = Field(default_factory=dict[str, str])


class LocationChanges(Wish):
    """What shall be otherwise of a location."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"labels": {"tier": "gold", "old": None}}]})

    name: Name = Field(default_factory=not_given)
    country: Country | None = Field(default_factory=not_given)
    labels: LabelPatch = Field(default_factory=not_given)


class RebalanceWish(Wish):
    """How a location shall be balanced."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"overlap_s": 30, "most": 50}]})

    overlap_s: Overlap = Field(default=60, description="each former endpoint serves on for so long")
    most: Annotated[int, Field(ge=1, le=1000)] = Field(default=100, description="at most so many moves")
