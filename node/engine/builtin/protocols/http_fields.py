"""Definitions shared by requests and responses: sizes, framings and hop-by-hop fields (RFC 9110, RFC 9112)."""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

MAX_HEAD = 65536
"""The longest request head, in bytes; a longer one is refused (431)."""

MAX_RESPONSE_HEAD = 300 * 1024
"""The longest response head, in bytes (502); curl accepts as many."""

MAX_REQUEST_LINES, MAX_RESPONSE_LINES = 256, 2048
"""The most lines in a head, including folded ones; more are refused (431, 502) before any is parsed. Interim responses
count towards the lines of their final response."""
MAX_MEMBERS = 100
"""The most commas in the fields that a proxy parses as lists."""


MEMORABLE, REMEMBERED = 1024, 512
"""The longest head that is cached with its parse result, in bytes, and the number of heads in each cache."""

NO_BODY, CHUNKED, UNTIL_CLOSE = -1, -2, -3
"""Framings other than a length in bytes, which is zero or more."""

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_LENGTH = re.compile(rb"[0-9]{1,64}")
_LONGEST = 10**18
_CONNECTION_BASED = re.compile(rb"(?i)(?:^|,)[ \t]*+(?:ntlm|negotiate|kerberos)(?=[ \t,]|$)")
WHITESPACE = b" \t"

FieldLine = tuple[bytes, bytes]
"""The lower-case name of a field and its whole line, CRLF included."""

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"proxy-connection",
        b"keep-alive",
        b"te",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
        b"proxy-authorization",
        b"proxy-authenticate",
        b"proxy-authentication-info",
    }
)
"""Fields that are not forwarded: RFC 9110 §7.6.1, RFC 7540 §3.2.1 and, for the proxy's own, RFC 9110 §11.7."""

FRAMING = frozenset({b"content-length", b"transfer-encoding"})


class Refusal(NamedTuple):
    """A message that is not forwarded: the status that answers it, and why."""

    status: int
    reason: str


def tokens(values: Iterable[bytes]) -> frozenset[bytes]:
    """The lower-case members of comma-separated lists."""
    return frozenset(part.strip(WHITESPACE).lower() for value in values for part in value.split(b",")) - {b""}


def length_of(members: Iterable[bytes]) -> int | None:
    """The one length in bytes that all members state, however it is written (RFC 9110 §8.6); None if they disagree or
    are invalid."""
    lengths: set[int] = set()
    for member in members:
        if not _LENGTH.fullmatch(member):
            return None
        lengths.add(int(member))
    length = lengths.pop() if len(lengths) == 1 else _LONGEST
    return length if length < _LONGEST else None


def connection_based(authentication: bytes) -> bool:
    """Whether a challenge or credentials name a scheme that authenticates the connection, not the request (RFC 4559
    §6)."""
    return _CONNECTION_BASED.search(authentication) is not None


def via_line(existing: Iterable[bytes], minor: int, name: bytes) -> bytes:
    """The Via line with this proxy appended (RFC 9110 §7.6.3); `minor` is the minor version in which the message was
    received."""
    entries = [entry for entry in existing if entry]
    if name:
        entries.append(b"1.%d %b" % (minor, name))
    return b"Via: %b\r\n" % b", ".join(entries) if entries else b""


def too_many_members(special: Mapping[bytes, list[bytes]]) -> bool:
    """Whether the fields that a proxy parses have more list members than it accepts."""
    return sum(value.count(b",") for values in special.values() for value in values) > MAX_MEMBERS


def without(lines: list[FieldLine], named: frozenset[bytes]) -> list[FieldLine]:
    """The lines whose fields are not named in Connection."""
    return [line for line in lines if line[0] not in named] if named else lines


def framing_lines(body: int) -> bytes:
    """The field that states a body's framing. The proxy writes it itself, so that there is only one."""
    if body == CHUNKED:
        return b"Transfer-Encoding: chunked\r\n"
    return b"Content-Length: %d\r\n" % body if body >= 0 else b""
