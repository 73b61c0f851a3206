"""Whether a body is JSON that means one thing: RFC 8259 in UTF-8, no member twice, no NaN. Pure."""

import json
from typing import Any, NoReturn

NAME_LETTERS = 60
BOM = "\ufeff"


class NoJsonError(ValueError):
    """The body is no JSON; says where it goes wrong, without what was sent."""


class TwiceError(Exception):
    """A member is given twice in one object; which of them is meant, parsers disagree about."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def check_json(raw: bytes) -> None:
    """Raises NoJsonError, TwiceError."""
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise NoJsonError("it is not UTF-8") from error
    if not text.strip(" \t\r\n"):
        raise NoJsonError("it is empty")
    if text.startswith(BOM):
        raise NoJsonError("it begins with a byte order mark (RFC 8259 §8.1)")
    try:
        # Numbers are left to the models: here a long one would only cost time.
        json.loads(
            text, object_pairs_hook=distinct_members, parse_constant=no_constant, parse_int=bool, parse_float=bool
        )
    except json.JSONDecodeError as error:
        raise NoJsonError(f"{error.msg} at line {error.lineno} column {error.colno}") from error
    except RecursionError as error:
        raise NoJsonError("it is nested too deeply") from error


def distinct_members(pairs: list[tuple[str, Any]]) -> None:
    """Raises TwiceError."""
    names = set[str]()
    for name, _ in pairs:
        if name in names:
            raise TwiceError(name)
        names.add(name)


def no_constant(_: str) -> NoReturn:
    """NaN and infinities are Python's, not JSON's."""
    raise NoJsonError("NaN and Infinity are no JSON")
