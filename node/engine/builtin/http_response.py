"""Reads the head of an origin's response and writes the one for the client.

Lenient in what is harmless (bare LF, folded lines, blanks before a colon), for old origins are; what goes to the
client is always clean. What would let one response be taken for two is refused.
"""

import re
from functools import lru_cache
from typing import NamedTuple

from node.engine.builtin.http_fields import (
    CHUNKED,
    DIGITS,
    HOP_BY_HOP,
    MAX_HEAD,
    MAX_MEMBERS,
    MAX_RESPONSE_LINES,
    MEMORABLE,
    NO_BODY,
    REMEMBERED,
    TOKEN,
    UNTIL_CLOSE,
    WHITESPACE,
    Line,
    Refusal,
    crowded,
    tokens,
    without,
)

_STATUS_LINE = re.compile(rb"HTTP/1\.([0-9]) ([1-9][0-9]{2})(?: ([^\x00-\x08\x0a-\x1f\x7f]*))?")
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_FOLD = re.compile(rb"\r?\n[ \t]+")
_LINE_END = re.compile(rb"\r?\n")
_FIELD = re.compile(rb"(" + TOKEN + rb")[ \t]*+:[ \t]*+([^\x00-\x08\x0a-\x1f\x7f]*)")
_SPECIAL = HOP_BY_HOP | {b"content-length"}


class Response(NamedTuple):
    """A response head of `size` bytes. `head` lacks only what the client's side decides: Connection, blank line."""

    size: int
    status: int
    head: bytes
    body: int
    reusable: bool
    """Whether the origin keeps its connection for another request."""

    @property
    def interim(self) -> bool:
        return self.status < 200 and self.status != 101

    @property
    def plain(self) -> bool:
        """Whether it is the answer and nothing else."""
        return self.status >= 200


def read_response(data: bytes | bytearray, seen: int, method: bytes) -> Response | Refusal | None:
    """None while the head is not complete; the first `seen` bytes were looked at before."""
    end = _HEAD_END.search(data, max(0, seen - 3))
    if (end.end() if end else len(data)) > MAX_HEAD:
        return Refusal(502, "the origin's response head is longer than 64 KiB")
    if end is None:
        return None
    if data.count(b"\n", 0, end.end()) > MAX_RESPONSE_LINES + 1:
        return Refusal(502, f"the origin's response head has more than {MAX_RESPONSE_LINES} lines")
    first, *rest = _LINE_END.split(_FOLD.sub(b" ", bytes(data[: end.start()])))
    status = _STATUS_LINE.fullmatch(first)
    fields = _sorted(rest)
    if status is None or fields is None:
        return Refusal(502, "the origin's response cannot be read")
    if data.count(b",", 0, end.start()) > MAX_MEMBERS and crowded(fields[1]):
        return Refusal(502, f"a field of the origin's response has more than {MAX_MEMBERS} members")
    return _response(end.end(), status, method, *fields)


def whole_response(data: bytes, method: bytes) -> Response | Refusal | None:
    """The same for what ends with a blank line; it is not read again if it was read before."""
    return _remembered(data, method) if len(data) <= MEMORABLE else read_response(data, 0, method)


@lru_cache(REMEMBERED)
def _remembered(data: bytes, method: bytes) -> Response | Refusal | None:
    return read_response(data, 0, method)


def _sorted(rows: list[bytes]) -> tuple[list[Line], dict[bytes, list[bytes]]] | None:
    """The lines that go on, and the values of the fields that end here; None when a line is no field."""
    lines: list[Line] = []
    special: dict[bytes, list[bytes]] = {}
    for row in rows:
        field = _FIELD.fullmatch(row)
        if field is None:
            return None
        name, value = field[1].lower(), field[2].rstrip(WHITESPACE)
        if name in _SPECIAL:
            special.setdefault(name, []).append(value)
        else:
            lines.append((name, b"%b: %b\r\n" % (field[1], value)))
    return lines, special


def _response(
    size: int, line: re.Match[bytes], method: bytes, lines: list[Line], special: dict[bytes, list[bytes]]
) -> Response | Refusal:
    minor, status = min(int(line[1]), 1), int(line[2])
    framing = _framing(minor, status, method, special)
    if isinstance(framing, Refusal):
        return framing
    body, told = framing
    named = tokens(special.get(b"connection", []))
    kept = b"".join([line for _, line in without(lines, named)])
    head = b"HTTP/1.1 %d %b\r\n%b%b" % (status, line[3] or b"", kept, told)
    if status == 101:
        head += b"Connection: Upgrade\r\nUpgrade: %b\r\n" % b", ".join(special.get(b"upgrade", []))
    ambiguous = b"transfer-encoding" in special and b"content-length" in special
    reusable = minor == 1 and b"close" not in named and body != UNTIL_CLOSE and not ambiguous
    return Response(size, status, head, body, reusable)


def _framing(minor: int, status: int, method: bytes, special: dict[bytes, list[bytes]]) -> tuple[int, bytes] | Refusal:
    """The body's framing (RFC 9112 §6.3) and the line that tells it to the client."""
    length = _length(special.get(b"content-length", []))
    if isinstance(length, Refusal):
        return length
    told = b"" if length is None else b"Content-Length: %d\r\n" % length
    if status < 200 or status == 204:
        return NO_BODY, b""
    codings = special.get(b"transfer-encoding")
    if codings:
        if minor == 0:
            return Refusal(502, "the origin's response is ambiguous")
        told = b"Transfer-Encoding: %b\r\n" % b", ".join(codings)
    if method == b"HEAD" or status == 304:
        return NO_BODY, told
    if codings:
        last = codings[-1].rpartition(b",")[2].strip(WHITESPACE).lower()
        return CHUNKED if last == b"chunked" else UNTIL_CLOSE, told
    return (UNTIL_CLOSE if length is None else length), told


def _length(values: list[bytes]) -> int | Refusal | None:
    """Several equal lengths are one (RFC 9110 §8.6); None when there is none."""
    different = tokens(values)
    if not different and not values:
        return None
    if len(different) != 1 or not DIGITS.fullmatch(length := next(iter(different))):
        return Refusal(502, "the origin's response is ambiguous")
    return int(length)
