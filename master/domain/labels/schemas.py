"""The query and resources of labels."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from master.schemas.base import Query, Resource, Text
from master.schemas.fields import LabelKey

Labelled = Literal["proxy", "node", "location", "stack"]


class LabelList(Query):
    """Which labels to list."""

    kind: Labelled = Field(default="proxy", description="The kind of resources whose labels are listed.")
    key: LabelKey | None = Field(
        default=None, description="Only this key, with up to 1,000 of its values. Default: all keys, with 20 values."
    )
    q: Annotated[Text, Field(min_length=1)] | None = Field(
        default=None, description="Only values that begin with this text, in any case."
    )


class LabelCount(Resource):
    """A value of a label."""

    value: str
    count: int = Field(description="The number of resources that have it.")


class LabelUse(Resource):
    """A key of labels, and its values."""

    key: str
    count: int = Field(
        description="The number of resources with this key, and with `q` a value that begins with it. If it is more "
        "than the sum of the values' counts, there are more values."
    )
    values: list[LabelCount] = Field(description="The most frequent values.")


class LabelUses(Resource):
    """The keys of labels, the most frequent first."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"items": [{"key": "customer", "count": 812, "values": [{"value": "7", "count": 25}]}]}]
        }
    )

    items: list[LabelUse] = Field(description="The 1,000 most frequent keys.")
