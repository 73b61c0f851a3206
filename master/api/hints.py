"""What is known where something unknown was sent, and which name is likely to be meant. Pure."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from shared.complaints import printable

NAME_LETTERS = 60


def unknown(what: str, name: str, known: Sequence[str]) -> str:
    """Of a field or parameter."""
    return f"unknown {what} {printable(name, NAME_LETTERS)};{meant(name, known)} known: {', '.join(known) or 'none'}"


def meant(name: str, known: Iterable[str]) -> str:
    """ " did you mean that?", if one of the known names is near."""
    by_lower = {each.lower(): each for each in known}
    near = get_close_matches(name.lower()[:NAME_LETTERS], by_lower, n=1, cutoff=0.6)
    return f" did you mean {by_lower[near[0]]}?" if near else ""


def known_fields(kind: type[BaseModel]) -> list[str]:
    """Names as they are sent."""
    return [field.alias or name for name, field in kind.model_fields.items()]


def fields_at(kind: type[BaseModel], steps: Sequence[int | str]) -> list[str]:
    """The fields that the model at this place in a body has; none where there is no model."""
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
    """By the name that is sent."""
    return next((field for own, field in kind.model_fields.items() if (field.alias or own) == name), None)


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """Those that a field of this type may hold, in lists too."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models_in(part)]
