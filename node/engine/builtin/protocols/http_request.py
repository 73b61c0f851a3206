"""Parses the head of a request to a proxy and writes the one for the origin.

Strict on purpose: anything that two parsers could read differently is refused (RFC 9112 §11.2, request smuggling).
"""

import re
from typing import NamedTuple

from node.engine.builtin.protocols.destinations import AbsoluteTarget
from node.engine.builtin.protocols.http_fields import (
    CHUNKED,
    HOP_BY_HOP,
    MAX_HEAD,
    MAX_MEMBERS,
    MAX_REQUEST_LINES,
    NO_BODY,
    TOKEN,
    WHITESPACE,
    FieldLine,
    Refusal,
    connection_based,
    framing_lines,
    length_of,
    tokens,
    too_many_members,
    via_line,
    without,
)

_COUNTED = frozenset({b"OPTIONS", b"TRACE"})
"""Methods for which Max-Forwards is decremented (RFC 9110 §7.6.2)."""

IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})
"""Methods that may be retried (RFC 9110 §9.2.2)."""

_REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") ([\x21-\x7e\x80-\xff]++) HTTP/1\.([0-9])\r\n")
_FIELD_LINES = re.compile(rb"(?:" + TOKEN + rb":[^\x00\r\n]*+\r\n)*+")
"""Control characters are allowed in values: a client returns them in a cookie as it received them."""
_BLANK_LINES = re.compile(rb"(?:\r\n)*+")
_FIRST_BYTES = frozenset(b"!#$%&'*+-.^_`|~\r\n" + bytes(c for c in range(128) if chr(c).isalnum()))

_SPECIAL = HOP_BY_HOP | {b"host", b"content-length", b"via"}
_PROTOCOL = re.compile(rb"[!-+\-.0-~]++(?:/[!-+\-.0-~]++)?")
_NONE: list[bytes] = []


class Request(NamedTuple):
    """A request head without its hop-by-hop fields."""

    method: bytes
    target: bytes
    minor: int
    """The x of HTTP/1.x, at most 1."""
    lines: list[FieldLine]
    authorization: bytes | None
    body: int
    keep_alive: bool
    upgrade: bytes | None
    via: list[bytes]
    hops: int | None
    """The number of further proxies through which OPTIONS or TRACE may pass; None if it is not limited."""
    logs_in: bool
    """Whether it carries credentials that authenticate the connection to the origin."""

    @property
    def has_body(self) -> bool:
        return self.body > 0 or self.body == CHUNKED

    @property
    def repeatable(self) -> bool:
        """Whether it may be sent a second time on a new connection without asking the client."""
        return not self.has_body and self.method in IDEMPOTENT


def could_be_http(first: int) -> bool:
    """Whether a connection whose first byte is this one may be HTTP/1."""
    return first in _FIRST_BYTES


def head_size(data: bytes | bytearray, seen: int) -> int | Refusal:
    """The size of the head at the beginning of `data`, 0 while it is incomplete. The first `seen` bytes were searched
    before."""
    end = data.find(b"\r\n\r\n", max(0, seen - 3)) + 4
    if end < 4:
        end = 0
    if (end or len(data)) > MAX_HEAD:
        return Refusal(431, "the request head is longer than 64 KiB")
    if not end and _is_stray(data, max(0, seen - 1)):
        return Refusal(400, "a line does not end in CRLF")
    return end


def _is_stray(data: bytes | bytearray, start: int) -> bool:
    """Whether there is a lone CR or LF, or NUL, after `start`; counting is fifty times as fast as a pattern. A CR at
    the end may yet be followed by its LF, and an LF at the start belongs to a CR before it."""
    if start and data.startswith(b"\n", start):
        start += 1
    pairs = data.count(b"\r\n", start)
    feeds, returns = data.count(b"\n", start), data.count(b"\r", start)
    return feeds != pairs or returns - data.endswith(b"\r", start) != pairs or data.find(0, start) >= 0


def blank_size(data: bytes | bytearray) -> int:
    """The size of the empty lines before a request, which are skipped (RFC 9112 §2.2)."""
    if not data.startswith(b"\r\n"):
        return 0
    size = len(data) - len(data.lstrip(b"\r\n"))
    if data.startswith(b"\r\n" * (size // 2)):
        return size - size % 2
    pairs = _BLANK_LINES.match(data)
    return pairs.end() if pairs else 0


def read_request(head: bytes) -> Request | Refusal:
    """Parse a complete head, including its blank line. Lines and list members are counted before they are parsed."""
    if head.count(b"\n") > MAX_REQUEST_LINES + 1:
        return Refusal(431, f"the request head has more than {MAX_REQUEST_LINES} lines")
    line = _REQUEST_LINE.match(head)
    if line is None:
        return Refusal(400, "the request line cannot be read")
    if not _FIELD_LINES.fullmatch(head, line.end(), len(head) - 2):
        return Refusal(400, "a header field cannot be read")
    lines, special = _sorted(head[line.end() : -4])
    if head.count(b",") > MAX_MEMBERS and too_many_members(special):
        return Refusal(431, f"a header field has more than {MAX_MEMBERS} members")
    if len(special.get(b"host", _NONE)) > 1 or len(special.get(b"proxy-authorization", _NONE)) > 1:
        return Refusal(400, "a header field that may appear once appears twice")
    return _request(line, lines, special)


def _sorted(fields: bytes) -> tuple[list[FieldLine], dict[bytes, list[bytes]]]:
    """The lines to forward, and the values of the fields that concern a proxy."""
    lines: list[FieldLine] = []
    special: dict[bytes, list[bytes]] = {}
    for line in fields.split(b"\r\n") if fields else ():
        name, _, value = line.partition(b":")
        name = name.lower()
        if name in _SPECIAL:
            special.setdefault(name, []).append(value.strip(WHITESPACE))
        else:
            lines.append((name, line + b"\r\n"))
    return lines, special


def _framing(special: dict[bytes, list[bytes]]) -> int | Refusal:
    """The body's framing (RFC 9112 §6.3); every ambiguity is refused."""
    coding, lengths = special.get(b"transfer-encoding"), special.get(b"content-length")
    if coding is not None:
        if lengths or len(coding) > 1 or coding[0].lower() != b"chunked":
            return Refusal(400, "the length of the body is ambiguous")
        return CHUNKED
    if lengths is None:
        return NO_BODY
    length = length_of(part.strip(WHITESPACE) for value in lengths for part in value.split(b","))
    return Refusal(400, "the length of the body is ambiguous") if length is None else length


def _request(line: re.Match[bytes], lines: list[FieldLine], special: dict[bytes, list[bytes]]) -> Request | Refusal:
    method, minor = line[1], min(int(line[3]), 1)
    body = _framing(special)
    if isinstance(body, Refusal):
        return body
    named = tokens(special.get(b"connection", _NONE))
    options = named | tokens(special.get(b"proxy-connection", _NONE))
    lines, hops = (without(lines, named), None) if method not in _COUNTED else _without_hops(without(lines, named))
    return Request(
        method=method,
        target=line[2],
        minor=minor,
        lines=lines,
        authorization=special.get(b"proxy-authorization", [None])[0],
        body=body,
        keep_alive=_keeps_alive(minor, body, options),
        upgrade=_upgrade(special.get(b"upgrade", _NONE)) if b"upgrade" in named and minor == 1 else None,
        via=special.get(b"via", _NONE),
        hops=hops,
        logs_in=any(name == b"authorization" and connection_based(line[14:-2]) for name, line in lines),
    )


def _keeps_alive(minor: int, body: int, options: frozenset[bytes]) -> bool:
    """Whether the client's connection is kept open; not after a chunked body in HTTP/1.0 (RFC 9112 §6.1)."""
    if b"close" in options:
        return False
    return minor == 1 or (b"keep-alive" in options and body != CHUNKED)


def _upgrade(values: list[bytes]) -> bytes | None:
    """The protocols to offer the origin, without h2c, which RFC 9113 §3.1 has deprecated."""
    members = (part.strip(WHITESPACE) for value in values for part in value.split(b","))
    offered = [each for each in members if _PROTOCOL.fullmatch(each) and each.lower() != b"h2c"]
    return b", ".join(offered) or None


def _without_hops(lines: list[FieldLine]) -> tuple[list[FieldLine], int | None]:
    """The lines without Max-Forwards, and its value. An invalid field is left out, as squid does."""
    stated = [line[13:-2].strip(WHITESPACE) for name, line in lines if name == b"max-forwards"]
    return [line for line in lines if line[0] != b"max-forwards"], length_of(stated)


def forwarded(request: Request, target: AbsoluteTarget, via: bytes = b"") -> bytes:
    """The head for the origin: origin-form, the target's own Host (RFC 9112 §3.2.2), one framing field.

    A request of an HTTP/1.0 client is forwarded as HTTP/1.0 unless its body is chunked, because origins seldom send
    chunks in reply to that. `via` is this proxy's name.
    """
    return b"%b %b HTTP/1.%d\r\nHost: %b\r\n%b%b%b%b%b\r\n" % (
        request.method,
        _origin_form(request.method, target.path),
        1 if request.body == CHUNKED else request.minor,
        target.authority,
        b"".join([line for _, line in request.lines]),
        b"" if request.hops is None else b"Max-Forwards: %d\r\n" % max(request.hops - 1, 0),
        via_line(request.via, request.minor, via),
        framing_lines(request.body),
        _connection(request),
    )


def _origin_form(method: bytes, path: bytes) -> bytes:
    if not path:
        return b"*" if method == b"OPTIONS" else b"/"
    return path if path.startswith(b"/") else b"/" + path


def _connection(request: Request) -> bytes:
    if request.upgrade is not None:
        return b"Connection: Upgrade\r\nUpgrade: %b\r\n" % request.upgrade
    return b"" if request.keep_alive and request.minor else b"Connection: close\r\n"
