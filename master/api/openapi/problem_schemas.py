"""Describes problem documents in the OpenAPI document: a schema for each class of error, by status."""

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any, Literal, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, create_model

from master.errors import Reported
from master.schemas.media_types import MediaType

Json = dict[str, Any]

RETRYABLE = (429, 503)
RETRY_AFTER = {"description": "Seconds until the request is worth repeating.", "schema": {"type": "integer"}}


class Problem(BaseModel):
    """A problem document (RFC 9457). Programs tell the kinds of problems apart by `type`; `detail` is for people."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["/problems/port-taken"])
    title: str
    status: int
    detail: str = Field(description="A description of this problem for people. It never holds a password.")


def form(kind: type[Reported]) -> type[BaseModel]:
    """Make the model of a class's problem documents: constant type, title and status, and its own members."""
    hints = get_type_hints(kind.Members, include_extras=True)
    required = kind.Members.__required_keys__
    members: dict[str, Any] = {
        name: (hint, ... if name in required else Field(default_factory=lambda: None)) for name, hint in hints.items()
    }
    constants: dict[str, Any] = {name: (Literal[getattr(kind, name)], ...) for name in ("type", "title", "status")}
    return create_model(form_name(kind), __base__=Problem, __doc__=kind.__doc__, **constants, **members)


def form_name(kind: type[Reported]) -> str:
    """Return the name of the schema."""
    return f"{kind.__name__}Problem"


def responses(kinds: Iterable[type[Reported]], reference: str) -> Json:
    """Describe the responses of an operation with these problems; `reference` has a place for a `{model}`."""
    ordered = sorted(set(kinds), key=lambda kind: (kind.status, kind.__name__))
    return {
        str(status): response(list(found), reference) for status, found in groupby(ordered, lambda kind: kind.status)
    }


def response(kinds: list[type[Reported]], reference: str) -> Json:
    """Describe one status, which may have several kinds of problems."""
    references = [{"$ref": reference.format(model=form_name(kind))} for kind in kinds]
    schema: Mapping[str, Any] = references[0] if len(kinds) == 1 else {"oneOf": references}
    headers: Json = {"headers": {"Retry-After": RETRY_AFTER}} if kinds[0].status in RETRYABLE else {}
    sentences = [first_line(kind) for kind in kinds]
    words = sentences[0] if len(kinds) == 1 else "\n".join(f"- {sentence}" for sentence in sentences)
    return {"description": words, **headers, "content": {MediaType.PROBLEM: {"schema": schema}}}


def first_line(kind: type[Reported]) -> str:
    """Return the first line of the class's docstring."""
    return (kind.__doc__ or "").partition("\n")[0]
