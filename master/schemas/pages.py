"""Pages of lists."""

from typing import Generic, TypeVar

from master.schemas.base import Resource

T = TypeVar("T")


class Page(Resource, Generic[T]):
    """A part of a list. Pass `next` as `after` to get the following page; null means that there is none."""

    items: list[T]
    next: str | None
