"""Pages of lists."""

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from master.schemas.base import Resource
from master.schemas.cursors import cursor

T = TypeVar("T")


class Page(Resource, Generic[T]):
    """A part of a list. Pass `next` as `after` to get the following page; null means that there is none."""

    items: list[T]
    next: str | None


class Identified(Protocol):
    """An item with an id, by which its list is ordered."""

    @property
    def id(self) -> int: ...


def next_cursor(items: Sequence[Identified], limit: int) -> str | None:
    """Return the cursor of the following page. A full page may be followed by an empty one."""
    return cursor(items[-1].id) if len(items) == limit else None
