"""A record of the ports that accepted, as text: `{"format": 1, "ports": "20001-20950,21000"}`. Pure."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

FORMAT = 1
READ_LIMIT = 1_048_576
HIGHEST = 65_535
RANGE = re.compile(r"([1-9][0-9]{0,4})(?:-([1-9][0-9]{0,4}))?")


class BadPortRecord(Exception):
    """The text is no record of ports."""


def written(ports: Iterable[int]) -> str:
    """Write a record. Neighbours are joined, so that it stays short with thousands of ports."""
    return json.dumps({"format": FORMAT, "ports": ",".join(ranges(sorted(set(ports))))}) + "\n"


def ranges(ports: list[int]) -> Iterator[str]:
    """Join neighbours of an ascending list."""
    start = 0
    for index, port in enumerate(ports):
        if index + 1 == len(ports) or ports[index + 1] != port + 1:
            yield str(port) if port == ports[start] else f"{ports[start]}-{port}"
            start = index + 1


def read(body: bytes) -> frozenset[int]:
    """Read a record. Raises BadPortRecord."""
    try:
        members: Any = json.loads(body)
        if len(body) > READ_LIMIT or members["format"] != FORMAT:
            raise BadPortRecord("it is too long, or of another release")
        return frozenset(port for part in members["ports"].split(",") if part for port in ports_in(part))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadPortRecord("it was not written by `health --deep --record`") from error


def ports_in(part: str) -> range:
    """Read "from-to", or one port. Raises ValueError."""
    matched = RANGE.fullmatch(part)
    if matched is None:
        raise ValueError("not a range of ports")
    found = range(int(matched[1]), int(matched[2] or matched[1]) + 1)
    if not found or found[-1] > HIGHEST:
        raise ValueError("not a range of ports")
    return found
