"""What a worker knows of a proxy; the form in which it crosses the control socket is plain JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, cast

from node.engine.builtin.access import Access, access

Protocol = Literal["http", "socks5", "mixed"]
PROTOCOLS: tuple[Protocol, ...] = ("http", "socks5", "mixed")
FIELDS = frozenset({"id", "version", "protocol", "port", "username", "password", "allow_ips"})
"""The fields of a ProxyRecord that a worker is told."""


@dataclass(frozen=True, slots=True)
class Record:
    """One version of one proxy."""

    id: int
    version: int
    protocol: Protocol
    port: int
    access: Access = field(repr=False)


def read_record(told: Mapping[str, object]) -> Record:
    """Raises ValueError, without the values, for what is no record."""
    if not FIELDS.issuperset(told) or len(told) != len(FIELDS):
        raise ValueError("a record has other fields")
    return Record(
        id=_number(told, "id"),
        version=_number(told, "version"),
        protocol=_protocol(told["protocol"]),
        port=_number(told, "port"),
        access=access(_text(told, "username"), _text(told, "password"), _texts(told, "allow_ips")),
    )


def _protocol(value: object) -> Protocol:
    for protocol in PROTOCOLS:
        if value == protocol:
            return protocol
    raise ValueError("protocol is not known")


def _number(told: Mapping[str, object], name: str) -> int:
    value = told[name]
    if type(value) is not int or value < 1:
        raise ValueError(f"{name} is not a positive number")
    return value


def _text(told: Mapping[str, object], name: str) -> str | None:
    value = told[name]
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{name} is not a text")
    return value


def _texts(told: Mapping[str, object], name: str) -> list[str]:
    value = told[name]
    if not isinstance(value, list) or not all(isinstance(each, str) for each in cast("list[object]", value)):
        raise ValueError(f"{name} is not a list of texts")
    return cast("list[str]", value)
