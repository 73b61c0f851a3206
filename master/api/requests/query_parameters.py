"""Splits a query string, and checks that its values are spelt canonically. Pure."""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any
from urllib.parse import unquote_to_bytes

from pydantic import BaseModel

BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
SPELLINGS: Mapping[str, tuple[re.Pattern[str], str]] = {
    "integer": (re.compile(r"0|-?[1-9][0-9]*"), "a whole number in plain digits"),
    "boolean": (re.compile(r"true|false"), "true or false"),
}

ParameterError = dict[str, str]


def read_parameters(query: bytes) -> tuple[list[tuple[str, str]], list[ParameterError]]:
    """Return (name, value) in their order, and the errors."""
    pairs: list[tuple[str, str]] = []
    complaints: list[ParameterError] = []
    for part in filter(None, query.split(b"&")):
        raw_name, _, raw_value = part.partition(b"=")
        name, value = decoded(raw_name), decoded(raw_value)
        if name is None or value is None or CONTROL.search(name + value):
            detail = "a query string is percent-encoded UTF-8 without control characters"
            complaints.append({"parameter": CONTROL.sub("\N{REPLACEMENT CHARACTER}", name or ""), "detail": detail})
        else:
            pairs.append((name, value))
    return pairs, complaints


def decoded(raw: bytes) -> str | None:
    """Decode percent-encoded UTF-8; None if it is malformed."""
    if BROKEN_ESCAPE.search(raw):
        return None
    try:
        return unquote_to_bytes(raw.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        return None


def misspelt(kind: type[BaseModel], pairs: Iterable[tuple[str, str]]) -> list[ParameterError]:
    """Find numbers and flags in other spellings that pydantic would accept, such as " 5", "+5", "1_0" and "on"."""
    found: list[ParameterError] = []
    kinds = plain_kinds(kind)
    for name, value in pairs:
        pattern, words = SPELLINGS.get(kinds.get(name, ""), (None, ""))
        if pattern is not None and not pattern.fullmatch(value):
            found.append({"parameter": name, "detail": f"must be {words}"})
    return found


@cache
def plain_kinds(kind: type[BaseModel]) -> Mapping[str, str]:
    """Return the JSON type of each parameter, or of its values if it may be repeated, as it is documented."""
    return {name: json_type(value_schema(field)) for name, field in properties(kind).items()}


@cache
def repeatable(kind: type[BaseModel]) -> frozenset[str]:
    """Return the names of the parameters that may be repeated."""
    return frozenset(name for name, field in properties(kind).items() if list_schema(field) is not None)


def properties(kind: type[BaseModel]) -> Mapping[str, Any]:
    """Return the schema of each parameter by the name that is sent."""
    return kind.model_json_schema().get("properties", {})


def list_schema(field: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the schema of the field's list, or None if it takes one value only."""
    return next((each for each in forms(field) if each.get("type") == "array"), None)


def value_schema(field: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema of one value, without null, which no query string can express."""
    found = list_schema(field)
    return found["items"] if found is not None else forms(field)[0]


def forms(field: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the schemas of which a value may be any, without null."""
    return [each for each in field.get("anyOf", [field]) if each.get("type") != "null"]


def json_type(schema: Mapping[str, Any]) -> str:
    """Return the JSON type of a schema."""
    return str(schema.get("type", ""))
