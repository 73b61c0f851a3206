"""Lists the known names where an unknown one was sent, and finds the one that was likely meant. Pure."""

from collections.abc import Sequence
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from master.schemas.filters import NOT
from master.schemas.similar_names import likely
from shared.validation_errors import printable

NAME_LETTERS = 60


def unknown(what: str, name: str, known: Sequence[str]) -> str:
    """Describe an unknown field or parameter."""
    near = likely(name, known)
    question = f" did you mean {near}?" if near else ""
    return f"unknown {what} {printable(name, NAME_LETTERS)};{question} known: {listing(known)}"


def listing(known: Sequence[str]) -> str:
    """List names. Members that exclude are listed once, by the names of the members that they negate."""
    plain = [name for name in known if not name.startswith(NOT)]
    negated = [name.removeprefix(NOT) for name in known if name.startswith(NOT)]
    exclusions = f"; {NOT} may stand before {', '.join(negated)}" if negated else ""
    return (", ".join(plain) or "none") + exclusions


@cache
def known_fields(kind: type[BaseModel]) -> tuple[str, ...]:
    """Return the names of the fields as they are sent."""
    return tuple(field.alias or name for name, field in kind.model_fields.items())


def fields_at(kind: type[BaseModel], steps: Sequence[int | str]) -> list[str]:
    """Return the fields of the model at this place in a body; none where there is no model."""
    models = [kind]
    for step in steps:
        fields = [field for model in models if (field := field_of(model, str(step))) is not None]
        models = (
            [model for field in fields for model in models_in(field.annotation)]
            if not isinstance(step, int)
            else models
        )
    return [name for model in models for name in known_fields(model)]


def field_of(kind: type[BaseModel], name: str) -> FieldInfo | None:
    """Find a field by the name that is sent."""
    return next((field for own, field in kind.model_fields.items() if (field.alias or own) == name), None)


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """Return the models that a field of this type may hold, also in lists."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models_in(part)]
