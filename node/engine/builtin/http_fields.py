"""What requests and responses have in common: sizes, kinds of framing and hop-by-hop fields (RFC 9110, RFC 9112)."""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

MAX_HEAD = 65536
"""Bytes of a request or response head; a longer one is refused (431, 502)."""

MAX_REQUEST_LINES, MAX_RESPONSE_LINES = 256, 512
"""Lines of a head, folded ones counted; more are refused (431, 502) before any of them is read. An origin's interim
responses count towards the lines of its response."""
MAX_MEMBERS = 100
"""Commas in the fields that a proxy reads as lists."""

MEMORABLE, REMEMBERED = 1024, 512
"""Heads of so many bytes at most, and how many of them, are remembered with what they say."""

NO_BODY, CHUNKED, UNTIL_CLOSE = -1, -2, -3
"""Kinds of framing beside a length in bytes, which is zero or more."""

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
DIGITS = re.compile(rb"[0-9]{1,18}")
WHITESPACE = b" \t"

Line = tuple[bytes, bytes]
"""The lower-case name of a field and its whole line, CRLF included."""

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"proxy-connection",
        b"keep-alive",
        b"te",
        b"transfer-encoding",
        b"upgrade",
        b"proxy-authorization",
        b"proxy-authenticate",
        b"proxy-authentication-info",
    }
)
"""Fields that end here: RFC 9110 §7.6.1 and, for the proxy's own, §11.7."""

FRAMING = frozenset({b"content-length", b"transfer-encoding"})


class Refusal(NamedTuple):
    """A message that goes no further: the status it is answered with and why."""

    status: int
    reason: str


def tokens(values: Iterable[bytes]) -> frozenset[bytes]:
    """The lower-case members of comma-separated lists."""
    return frozenset(part.strip(WHITESPACE).lower() for value in values for part in value.split(b",")) - {b""}


def crowded(special: Mapping[bytes, list[bytes]]) -> bool:
    """Whether the fields that a proxy reads hold more list members than it will look at."""
    return sum(value.count(b",") for values in special.values() for value in values) > MAX_MEMBERS


def without(lines: list[Line], named: frozenset[bytes]) -> list[Line]:
    """The lines whose fields are not named in Connection."""
    return [line for line in lines if line[0] not in named] if named else lines


def framing_lines(body: int) -> bytes:
    """The one field that tells a body's framing, made anew so that it cannot be told twice."""
    if body == CHUNKED:
        return b"Transfer-Encoding: chunked\r\n"
    return b"Content-Length: %d\r\n" % body if body >= 0 else b""
