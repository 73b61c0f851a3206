"""Parses the head of an origin's response and writes the one for the client.

Lenient where that is harmless, because old origins need it (see each rule below) and squid, tinyproxy and Privoxy do
the same: unusual status lines, control characters in values, lines that are not fields. The client gets a clean head.
Anything that could change where a response ends (NUL, a bare CR, doubtful lengths and codings) is refused.
"""

import re
from functools import lru_cache
from typing import NamedTuple

from node.engine.builtin.protocols.http_fields import (
    CHUNKED,
    HOP_BY_HOP,
    MAX_MEMBERS,
    MAX_RESPONSE_HEAD,
    MAX_RESPONSE_LINES,
    MEMORABLE,
    NO_BODY,
    REMEMBERED,
    TOKEN,
    UNTIL_CLOSE,
    WHITESPACE,
    FieldLine,
    Refusal,
    connection_based,
    length_of,
    tokens,
    too_many_members,
    via_line,
    without,
)

_EMPTY_LINES = re.compile(rb"(?:\r?\n){0,32}+")
"""Empty lines before the status line, which follow a body that was longer than its origin stated."""
_HEAD_END = re.compile(rb"\n\r?\n")
"""The end of a head, without the CR that may precede it: a pattern that begins with a fixed byte is five times as
fast."""
_FORBIDDEN = re.compile(rb"\x00|\r(?!\n)")
_STATUS_LINE = re.compile(
    rb"(?:(?i:HTTP)(?:/([0-9]{1,3})(?:\.([0-9]{1,3}))?)?|ICY)[ \t]++([1-9][0-9]{2})(?![0-9])[ \t]*+(.*)", re.DOTALL
)
"""SHOUTcast servers send ICY. Anything but HTTP/1.1 counts as HTTP/1.0, whose connections are used once."""
_FOLD = re.compile(rb"\r?\n[ \t]+")
_LINE_END = re.compile(rb"\r?\n")
_FIELD = re.compile(rb"(" + TOKEN + rb")[ \t]*+:[ \t]*+(.*)", re.DOTALL)
_ODD_FIELD = re.compile(rb"([!-9;-~\x80-\xff]++)[ \t]*+:[ \t]*+(.*)", re.DOTALL)
"""A name with visible characters that a token must not have. Such a field is forwarded, for all but the strictest
clients accept it."""
_LIKE_FRAMING = re.compile(rb"(?i)content.{0,3}length|transfer.{0,3}encoding", re.DOTALL)
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

_SPECIAL = HOP_BY_HOP | {b"content-length", b"via"}
_NONE: list[bytes] = []
_AMBIGUOUS = Refusal(502, "the origin's response is ambiguous")
_UNREADABLE = Refusal(502, "the origin's response cannot be read")
_OTHER_CODING = Refusal(502, "the origin's response is in a transfer coding that the client cannot read")
_CHUNKED = b"Transfer-Encoding: chunked\r\n"
_SESSION_BASED = b"Proxy-Support: Session-Based-Authentication\r\n"
"""Clients try NTLM through a proxy only if they see this (RFC 4559 §6)."""


class Response(NamedTuple):
    """A response head. `head` is complete except for what the client's side decides: Connection and the blank line."""

    size: int
    """Bytes of the head as received."""
    status: int
    head: bytes
    body: int
    reusable: bool
    """Whether the origin keeps its connection for another request."""
    challenges: bool
    """Whether it asks for a login that authenticates the connection, so that the client's next request must use the
    same one."""

    @property
    def interim(self) -> bool:
        return self.status < 200 and self.status != 101

    @property
    def plain(self) -> bool:
        """Whether it is a final response."""
        return self.status >= 200


def read_response(data: bytes | bytearray, seen: int, method: bytes, via: bytes = b"") -> Response | Refusal | None:
    """Parse a response head; None while it is incomplete. The first `seen` bytes were searched before; `via` is this
    proxy's name."""
    empty = _EMPTY_LINES.match(data)
    start = empty.end() if empty else 0
    end = _HEAD_END.search(data, max(start, seen - 3))
    if (end.end() if end else len(data)) > MAX_RESPONSE_HEAD:
        return Refusal(502, f"the origin's response head is longer than {MAX_RESPONSE_HEAD // 1024} KiB")
    if end is None:
        return None
    if data.count(b"\n", start, end.end()) > MAX_RESPONSE_LINES + 1:
        return Refusal(502, f"the origin's response head has more than {MAX_RESPONSE_LINES} lines")
    head = bytes(data[start : end.start()]).removesuffix(b"\r")
    first, _, rest = head.partition(b"\n")
    status = _STATUS_LINE.fullmatch(first.removesuffix(b"\r"))
    fields = _sorted(rest)
    if status is None or fields is None or _FORBIDDEN.search(head):
        return _UNREADABLE
    if head.count(b",") > MAX_MEMBERS and too_many_members(fields[1]):
        return Refusal(502, f"a field of the origin's response has more than {MAX_MEMBERS} members")
    return _response(end.end(), status, method, *fields, via)


def whole_response(data: bytes, method: bytes, via: bytes) -> Response | Refusal | None:
    """As `read_response`, cached, for bytes that end with a blank line, which need not be the one that ends the
    head."""
    return _cached_response(data, method, via) if len(data) <= MEMORABLE else read_response(data, 0, method, via)


@lru_cache(REMEMBERED)
def _cached_response(data: bytes, method: bytes, via: bytes) -> Response | Refusal | None:
    return read_response(data, 0, method, via)


def _sorted(text: bytes) -> tuple[list[FieldLine], dict[bytes, list[bytes]]] | None:
    """The lines to forward, and the values of hop-by-hop fields; None if a line is not a field but resembles framing.

    Lines right after the status line that begin with blanks belong to no field and are left out (RFC 9112 §2.2).
    """
    lines: list[FieldLine] = []
    special: dict[bytes, list[bytes]] = {}
    stray, *rows = _LINE_END.split(_FOLD.sub(b" ", b"\n" + text))
    for row in rows:
        field = _FIELD.fullmatch(row)
        if field is None:
            odd = _ODD_FIELD.fullmatch(row)
            if _LIKE_FRAMING.search(row.partition(b":")[0]):
                return None
            if odd:
                lines.append((odd[1].lower(), b"%b: %b\r\n" % (odd[1], odd[2].rstrip(WHITESPACE))))
            continue
        name, value = field[1].lower(), field[2].rstrip(WHITESPACE)
        if name in _SPECIAL:
            special.setdefault(name, []).append(value)
        else:
            lines.append((name, b"%b: %b\r\n" % (field[1], value)))
    return None if _LIKE_FRAMING.search(stray) else (lines, special)


def _response(
    size: int,
    line: re.Match[bytes],
    method: bytes,
    lines: list[FieldLine],
    special: dict[bytes, list[bytes]],
    via: bytes,
) -> Response | Refusal:
    major, minor, status = int(line[1] or 0), int(line[2] or 0), int(line[3])
    modern = major == 1 and minor >= 1
    framing = _framing(status, method, special)
    if isinstance(framing, Refusal):
        return framing
    body, stated = framing
    challenges = _challenges(lines)
    named = tokens(special.get(b"connection", _NONE))
    kept = without(lines, named)
    head = b"HTTP/1.1 %d %b\r\n%b%b%b%b" % (
        status,
        line[4],
        b"".join([each for _, each in kept]),
        via_line(special.get(b"via", _NONE), int(modern), via),
        _SESSION_BASED if challenges else b"",
        stated,
    )
    if status == 101:
        upgrade = b", ".join(special.get(b"upgrade", _NONE))
        if _CONTROL.search(upgrade):
            return _UNREADABLE
        head += b"Connection: Upgrade\r\nUpgrade: %b\r\n" % upgrade
    reusable = modern and b"close" not in named and body != UNTIL_CLOSE and _is_clear(special)
    return Response(size, status, head, body, reusable, challenges)


def without_chunks(response: Response) -> Response | Refusal:
    """The response for an HTTP/1.0 client, which gets the content alone (RFC 9112 §6.1)."""
    if b"\r\nTransfer-Encoding: " not in response.head:
        return response
    head = response.head.removesuffix(_CHUNKED)
    return response._replace(head=head) if head != response.head else _OTHER_CODING


def _challenges(lines: list[FieldLine]) -> bool:
    return any(name == b"www-authenticate" and connection_based(line[17:-2]) for name, line in lines)


def _is_clear(special: dict[bytes, list[bytes]]) -> bool:
    """Whether the end of the body is stated in only one way."""
    return b"transfer-encoding" not in special or b"content-length" not in special


def _framing(status: int, method: bytes, special: dict[bytes, list[bytes]]) -> tuple[int, bytes] | Refusal:
    """The body's framing (RFC 9112 §6.3) and the line that states it to the client."""
    lengths = special.get(b"content-length")
    length = length_of(tokens(lengths)) if lengths else None
    codings = _codings(special.get(b"transfer-encoding", _NONE))
    if codings is None or (lengths and length is None):
        return _AMBIGUOUS
    if status < 200 or status == 204:
        return NO_BODY, b""
    stated = b"" if length is None else b"Content-Length: %d\r\n" % length
    if codings:
        stated = b"Transfer-Encoding: %b\r\n" % b", ".join(codings)
    if method == b"HEAD" or status == 304:
        return NO_BODY, stated
    if codings:
        return (CHUNKED if codings[-1] == b"chunked" else UNTIL_CLOSE), stated
    return (UNTIL_CLOSE if length is None else length), stated


def _codings(values: list[bytes]) -> list[bytes] | None:
    """The transfer codings; None if they are ambiguous.

    RFC 2616 called the absence of a coding `identity`. Origins behind a gateway send `chunked` twice and mean it once.
    """
    if not values:
        return []
    members = [part.strip(WHITESPACE).lower() for value in values for part in value.split(b",")]
    codings = [member for member in members if member not in (b"", b"identity")]
    while codings[-2:] == [b"chunked", b"chunked"]:
        codings.pop()
    return None if b"chunked" in codings[:-1] or any(map(_CONTROL.search, codings)) else codings
