"""The base classes of resources, request bodies and queries."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler, WithJsonSchema
from pydantic_core import CoreSchema

from master.schemas.cursors import read_cursor
from master.schemas.fields import ID_BY_NAME, PRINTABLE, LabelKey, LabelValue

Row = Mapping[str, Any]

DESCRIBED_AS = "described_as"


class Resource(BaseModel):
    """A resource as the API returns it."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


@dataclass(frozen=True, slots=True)
class DescribedAs:
    """Marks stored JSON that is returned as it was sent: the OpenAPI document describes it by the body's model."""

    body: type[BaseModel]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Keep the body in the metadata, for the generator of the document."""
        schema: Any = handler(source)
        schema["metadata"] = {**schema.get("metadata", {}), DESCRIBED_AS: self.body}
        return schema


def single_value(value: object) -> str:
    """The text of a parameter. Raises ValueError for several."""
    if not isinstance(value, str):
        raise ValueError("may be given only once")
    return value


def label_pair(pair: object) -> tuple[str, str]:
    """Split key:value. Raises ValueError."""
    key, colon, value = pair.partition(":") if isinstance(pair, str) else ("", "", "")
    if not colon or not key:
        raise ValueError("a label is written key:value, for example label=customer:7")
    return key, value


Text = Annotated[str, Field(max_length=255, pattern=PRINTABLE)]
LabelPairs = Annotated[
    list[Annotated[tuple[LabelKey, LabelValue], BeforeValidator(label_pair), WithJsonSchema({"type": "string"})]],
    Field(
        max_length=16,
        description="A label as `key:value`. It may be repeated; every one of the labels must be present.",
    ),
]
Cursor = Annotated[
    Annotated[int, BeforeValidator(read_cursor), BeforeValidator(single_value), WithJsonSchema({"type": "string"})],
    Field(description="The `next` of the previous page. Without it the list begins at the first item."),
]
Limit = Annotated[int, Field(ge=1, le=1000, description="The most items to return.")]


class Query(BaseModel):
    """A query string; unknown parameters are refused, numbers and flags are read from their text."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class LabelFilter(Query):
    """A filter by labels."""

    label: LabelPairs = Field(default_factory=list[tuple[str, str]])


class Paging(Query):
    """The part of a list to return."""

    limit: Limit = 50
    after: Cursor = Field(default_factory=int)


def filter_parameters(question: LabelFilter, kind: type[LabelFilter]) -> dict[str, Any]:
    """The filter that `kind` names, as parameters of a query; names must have been replaced by ids before."""
    if any(getattr(question, name, None) is not None for name in ID_BY_NAME):
        raise TypeError("names are not replaced by ids yet: a filter would be left out")
    plain = {name: getattr(question, name) for name in kind.model_fields if name not in ("label", *ID_BY_NAME)}
    return {**plain, "labels": [{key: value} for key, value in question.label]}


def omitted() -> Any:
    """Stand for an omitted member; `model_fields_set` distinguishes it from null."""
    return None


class RequestBody(BaseModel):
    """A JSON body; unknown members and values of another type are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    def given(self) -> dict[str, Any]:
        """Return the members that were present in the body."""
        return self.model_dump(exclude_unset=True)
