"""The base classes of resources, request bodies and queries."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler, WithJsonSchema
from pydantic_core import CoreSchema

from master.schemas.cursors import read_cursor
from master.schemas.fields import PRINTABLE

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


Text = Annotated[str, Field(max_length=255, pattern=PRINTABLE)]
Cursor = Annotated[
    Annotated[int, BeforeValidator(read_cursor), BeforeValidator(single_value), WithJsonSchema({"type": "string"})],
    Field(description="The `next` of the previous page. Without it the list begins at the first item."),
]
Limit = Annotated[int, Field(ge=1, le=1000, description="The most items to return.")]


class Query(BaseModel):
    """A query string; unknown parameters are refused, numbers and flags are read from their text."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class SecretsQuery(Query):
    """Whether secrets are shown."""

    secrets: Literal["yes", "no"] = Field(
        default="yes", description="`no`: members that are secret, or contain a secret, are null."
    )

    @property
    def shows_secrets(self) -> bool:
        """Whether they are."""
        return self.secrets == "yes"


class Paging(Query):
    """The part of a list to return."""

    limit: Limit = 50
    after: Cursor = Field(default_factory=int)


def omitted() -> Any:
    """Stand for an omitted member; `model_fields_set` distinguishes it from null."""
    return None


class RequestBody(BaseModel):
    """A JSON body; unknown members and values of another type are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    def given(self) -> dict[str, Any]:
        """Return the members that were present in the body."""
        return self.model_dump(exclude_unset=True)
