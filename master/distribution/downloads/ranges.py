"""Conditional and partial requests for one file (RFC 9110 §13, §14). Pure."""

import re
from dataclasses import dataclass
from typing import Literal

SINGLE = re.compile(r"bytes=[ \t]*(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))[ \t]*")


@dataclass(frozen=True, slots=True)
class Selection:
    """The status of an answer, and which bytes of the file it has: from `start` up to before `stop`."""

    status: Literal[200, 206, 304, 416]
    start: int = 0
    stop: int = 0


def select(size: int, etag: str, *, if_none_match: str | None, range_: str | None, if_range: str | None) -> Selection:
    """Decide what a GET answers, from the values of its fields. A range that cannot be read counts as none, as several.

    `etag` is a strong one with its quotation marks; an If-Range that is a date never matches, since none is given.
    """
    if if_none_match is not None and is_listed(etag, if_none_match):
        return Selection(304)
    if range_ is None or (if_range is not None and if_range.strip() != etag):
        return Selection(200, 0, size)
    return selected_range(size, range_)


def selected_range(size: int, field: str) -> Selection:
    """Return what a Range selects."""
    found = SINGLE.fullmatch(field.strip())
    first, last, suffix = found.groups() if found else ("0", "", None)
    if found is None or (first and last and int(last) < int(first)):
        return Selection(200, 0, size)
    if suffix is not None:
        start, stop = max(size - int(suffix), 0), size
    else:
        start, stop = int(first), min(int(last), size - 1) + 1 if last else size
    return Selection(206, start, stop) if start < stop else Selection(416)


def is_listed(etag: str, field: str) -> bool:
    """Whether an If-None-Match names the tag, by the weak comparison."""
    return field.strip() == "*" or etag in (tag.strip().removeprefix("W/") for tag in field.split(","))
