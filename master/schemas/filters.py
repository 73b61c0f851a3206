"""The members of filters: values of which any may match, values to exclude, labels, and the parameters for SQL. Pure.

A filter is a model whose fields are the parameters of its SQL, by name; `not_state` is sent as `not.state`. The
conditions stand once for each kind of thing, as the part `matching` of its .sql file. Members that are not given are
None, and their conditions are left out of the statement.
"""

from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, cast

from pydantic import BeforeValidator, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, PlainSerializer, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from master.schemas.base import Query, Text
from master.schemas.fields import ID_BY_NAME, LabelKey, LabelValue
from shared.proxies import Id

MOST_VALUES = 500
"""The most values of one member."""
MOST_LABELS = 16
NOT = "not."
EXCLUSION = "not_"
"""How the names of fields begin that exclude; a name cannot have a dot in Python."""

T = TypeVar("T")
LabelTerm = tuple[str, str | None]


@dataclass(frozen=True, slots=True)
class OneOrMany:
    """Marks a list that may be sent as one plain value."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Make a list of one value."""
        return core_schema.no_info_before_validator_function(listed, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Describe both forms."""
        found = handler(schema)
        return {"anyOf": [found["items"], found]}


def listed(value: object) -> list[object]:
    """Return the list, or one of this value."""
    return cast("list[object]", value) if isinstance(value, list) else [value]


def label_term(text: object) -> LabelTerm:
    """Split key:value. A key alone has no value, and no =, which is often written for the colon. Raises ValueError."""
    key, colon, value = text.partition(":") if isinstance(text, str) else ("", "", "")
    if not key or (not colon and "=" in key):
        raise ValueError("a label is written key:value, for example label=customer:7, or key alone")
    return key, value if colon else None


def label_text(term: LabelTerm) -> str:
    """Return the label as it is sent."""
    key, value = term
    return key if value is None else f"{key}:{value}"


Many = Annotated[list[T], Field(min_length=1, max_length=MOST_VALUES), OneOrMany()]
"""Any of these values."""
SearchText = Annotated[Text, Field(min_length=1)] | None
LabelTerms = Annotated[
    list[
        Annotated[
            tuple[LabelKey, LabelValue | None],
            BeforeValidator(label_term),
            PlainSerializer(label_text, return_type=str),
            WithJsonSchema({"type": "string"}),
        ]
    ],
    Field(min_length=1, max_length=MOST_LABELS),
    OneOrMany(),
]


def any_of(description: str) -> Any:
    """Describe a member that may be repeated. Default: no condition."""
    return Field(default_factory=list[Any], description=f"{description} It may be repeated; any of the values will do.")


def none_of(member: str) -> Any:
    """Describe the member that excludes values of another member."""
    return Field(
        default_factory=list[Any],
        alias=f"{NOT}{member}",
        description=f"Excludes these values of `{member}`. It may be repeated.",
    )


class LabelFilter(Query):
    """A filter by id and labels."""

    id: Many[Id] = any_of("Only the one with this id.")
    label: LabelTerms = Field(
        default_factory=list[LabelTerm],
        description="Only those with this label: `key:value`, or `key` for any value. It may be repeated; all of the "
        "labels must be present.",
    )
    q: SearchText = Field(
        default=None, description="Only those whose name begins with this text, in any case, or whose id it is."
    )
    not_id: Many[Id] = none_of("id")
    not_label: LabelTerms = Field(
        default_factory=list[LabelTerm],
        alias=f"{NOT}label",
        description="Only those without this label: `key:value`, or `key` for any value. It may be repeated; none of "
        "the labels may be present.",
    )


def filter_parameters(filter_: LabelFilter, kind: type[LabelFilter]) -> dict[str, Any]:
    """Return the members of `kind` as parameters of a query, None where there is no condition.

    Raises TypeError when names have not been replaced by ids before: a condition would be left out.
    """
    if any(getattr(filter_, name, None) not in (None, []) for name in ID_BY_NAME):
        raise TypeError("names are not replaced by ids yet: a filter would be left out")
    plain = [name for name in kind.model_fields if name not in ("label", "not_label", *ID_BY_NAME)]
    return {
        **{name: None if (value := getattr(filter_, name)) == [] else value for name in plain},
        **label_parameters("", filter_.label),
        **label_parameters(EXCLUSION, filter_.not_label),
    }


def label_parameters(prefix: str, terms: list[LabelTerm]) -> dict[str, Any]:
    """Return the pairs and the keys of labels as two parameters."""
    pairs = [{key: value} for key, value in terms if value is not None]
    keys = [key for key, value in terms if value is None]
    return {f"{prefix}labels": pairs or None, f"{prefix}label_keys": keys or None}


def is_unfiltered(filter_: LabelFilter, kind: type[LabelFilter]) -> bool:
    """Whether the filter has no members."""
    return all(value is None for value in filter_parameters(filter_, kind).values())
