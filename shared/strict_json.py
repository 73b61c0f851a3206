"""Checks that a body is unambiguous JSON: RFC 8259 in UTF-8, no duplicate member, no NaN. Pure."""

import json
from typing import Any, NoReturn

NAME_LETTERS = 60
BOM = "\ufeff"


class NotJsonError(ValueError):
    """The body is not JSON; the text gives the place of the error, without repeating the body."""


class DuplicateMemberError(Exception):
    """An object has a member twice; parsers disagree about which one counts."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def check_json(raw: bytes) -> None:
    """Raises NotJsonError, DuplicateMemberError."""
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise NotJsonError("it is not UTF-8") from error
    if not text.strip(" \t\r\n"):
        raise NotJsonError("it is empty")
    if text.startswith(BOM):
        raise NotJsonError("it begins with a byte order mark (RFC 8259 §8.1)")
    try:
        # Numbers are left to the models: here a long one would only cost time.
        json.loads(
            text, object_pairs_hook=distinct_members, parse_constant=no_constant, parse_int=bool, parse_float=bool
        )
    except json.JSONDecodeError as error:
        raise NotJsonError(f"{error.msg} at line {error.lineno} column {error.colno}") from error
    except RecursionError as error:
        raise NotJsonError("it is nested too deeply") from error


def distinct_members(pairs: list[tuple[str, Any]]) -> None:
    """Raises DuplicateMemberError."""
    names = set[str]()
    for name, _ in pairs:
        if name in names:
            raise DuplicateMemberError(name)
        names.add(name)


def no_constant(_: str) -> NoReturn:
    """NaN and infinities are Python's, not JSON's."""
    raise NotJsonError("NaN and Infinity are not JSON")
