"""What the master keeps, as its API shows it: made out of rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler, WithJsonSchema
from pydantic_core import CoreSchema

from master.schemas.cursors import read_cursor
from master.schemas.fields import ID_BY_NAME, PRINTABLE, LabelKey, LabelValue

Row = Mapping[str, Any]

DESCRIBED_AS = "said_as"


class Resource(BaseModel):
    """What all of them share."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


@dataclass(frozen=True, slots=True)
class DescribedAs:
    """Marks stored JSON that is shown as it was given: the OpenAPI document describes it by the body's model."""

    body: type[BaseModel]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Keep the body in the metadata, for the generator of the document."""
        schema: Any = handler(source)
        schema["metadata"] = {**schema.get("metadata", {}), DESCRIBED_AS: self.body}
        return schema


def single_value(value: object) -> str:
    """The text of a parameter. Raises ValueError for several."""
    if not isinstance(value, str):
        raise ValueError("may be said only once")
    return value


def label_pair(pair: object) -> tuple[str, str]:
    """Out of key:value. Raises ValueError."""
    key, colon, value = pair.partition(":") if isinstance(pair, str) else ("", "", "")
    if not colon or not key:
        raise ValueError("a label is written key:value, for example label=customer:7")
    return key, value


Text = Annotated[str, Field(max_length=255, pattern=PRINTABLE)]
LabelPairs = Annotated[
    list[Annotated[tuple[LabelKey, LabelValue], BeforeValidator(label_pair), WithJsonSchema({"type": "string"})]],
    Field(max_length=16, description="key:value; may be given more than once, all must be there"),
]
Cursor = Annotated[
    Annotated[int, BeforeValidator(read_cursor), BeforeValidator(single_value), WithJsonSchema({"type": "string"})],
    Field(description="`next` of the page before; without it the list begins with the first"),
]
Limit = Annotated[int, Field(ge=1, le=1000)]


class Query(BaseModel):
    """A query string: nothing unknown, numbers and flags out of their text."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class LabelFilter(Query):
    """A filter by labels."""

    label: LabelPairs = Field(default_factory=list[tuple[str, str]])


class Paging(Query):
    """Which part of a list."""

    limit: Limit = 50
    after: Cursor = Field(default_factory=int)


def filter_parameters(question: LabelFilter, kind: type[LabelFilter]) -> dict[str, Any]:
    """The filter that `kind` names, as parameters of a query; names must have been replaced by ids before."""
    if any(getattr(question, name, None) is not None for name in ID_BY_NAME):
        raise TypeError("names are not replaced by ids yet: a filter would be left out")
    plain = {name: getattr(question, name) for name in kind.model_fields if name not in ("label", *ID_BY_NAME)}
    return {**plain, "labels": [{key: value} for key, value in question.label]}


def omitted() -> Any:
    """Stands for a member that was left out; only `model_fields_set` tells."""
    return None


class RequestBody(BaseModel):
    """A JSON body: nothing unknown, nothing of a wrong type."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    def given(self) -> dict[str, Any]:
        """The members that were really in the body."""
        return self.model_dump(exclude_unset=True)
