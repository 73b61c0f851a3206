"""What the bearer of a token may do, and to which part of the fleet. Pure."""

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Annotated, Literal, Self, get_args

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError, model_validator

from master.schemas.base import RequestBody
from master.schemas.fields import LabelKey, LabelValue
from master.schemas.filters import label_term
from shared.proxies import Id

TokenScope = Literal["read", "secrets", "write", "rotate", "check", "enrol", "upgrade", "metrics", "admin"]
SCOPES: tuple[TokenScope, ...] = get_args(TokenScope)
ADMIN: TokenScope = "admin"
"""Implies all others."""
FLEET_SCOPES: frozenset[TokenScope] = frozenset({"read", "secrets", "write", "rotate", "check"})
"""Scopes that a token with a filter may have. The others are about the whole system."""
LABEL: TypeAdapter[tuple[str, str]] = TypeAdapter(tuple[LabelKey, LabelValue])


def whole_label(text: str) -> str:
    """Return the label. Raises ValueError unless it is a key with a value."""
    key, value = label_term(text)
    if value is None:
        raise ValueError("a label is written key:value, for example customer:7")
    try:
        LABEL.validate_python((key, value))
    except ValidationError:
        raise ValueError("a label has a key of 1 to 63 characters and a value of at most 255") from None
    return text


class TokenFilter(RequestBody):
    """The part of the fleet that a token is for: exactly one of its members is given."""

    label: Annotated[str, AfterValidator(whole_label)] | None = Field(
        default=None,
        max_length=319,
        examples=["customer:7"],
        description="Only what has this label, written key:value.",
    )
    stack: Id | None = Field(default=None, description="Only this stack and its proxies.")
    location: Id | None = Field(default=None, description="Only this location, its nodes and their proxies.")

    @model_validator(mode="after")
    def names_one(self) -> Self:
        """Raises ValueError."""
        if sum(one is not None for one in (self.label, self.stack, self.location)) != 1:
            raise ValueError("exactly one of label, stack and location is given")
        return self


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """What a request may do. `token_id` and `name` are those of its token; None and "" without one."""

    scopes: frozenset[TokenScope]
    name: str = ""
    token_id: int | None = None
    filter: TokenFilter | None = None

    def missing(self, needed: Iterable[TokenScope]) -> list[TokenScope]:
        """Return the scopes of these that it does not have."""
        return [] if ADMIN in self.scopes else [one for one in needed if one not in self.scopes]

    @property
    def shows_secrets(self) -> bool:
        """Whether passwords and the secrets of links are shown."""
        return not self.missing(("secrets",))


ANYBODY = Access(scopes=frozenset({ADMIN}))
"""Of every request while the API is open, that is until the first admin token exists."""
NOBODY = Access(scopes=frozenset())
"""Of everything outside of a request, and of requests to what is free."""
_ACCESS: ContextVar[Access] = ContextVar("access", default=NOBODY)


def present_access() -> Access:
    """Return the access of the present request."""
    return _ACCESS.get()


@contextmanager
def accessing(access: Access) -> Generator[None]:
    """Serve a request with this access until the context is left."""
    token = _ACCESS.set(access)
    try:
        yield
    finally:
        _ACCESS.reset(token)
