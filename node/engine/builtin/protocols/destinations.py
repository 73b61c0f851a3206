"""Where a client wants to go: the forms a destination takes in HTTP and SOCKS requests."""

import re
from typing import NamedTuple

HTTP_PORT = 80

_HOST = rb"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._~-]{1,255})"
_AUTHORITY = re.compile(_HOST + rb":([0-9]{1,5})")
_NAME = re.compile(rb"[A-Za-z0-9._-]{1,255}|[0-9A-Fa-f:.]{2,45}|\[[0-9A-Fa-f:.]{2,45}\]")
_ABSOLUTE = re.compile(rb"(?i:http)://(" + _HOST + rb"(?::([0-9]{0,5}))?)(/[^#]*|\?[^#]*|)")


class Destination(NamedTuple):
    """`host` is a name in lower case, or a literal address without brackets."""

    host: str
    port: int


class AbsoluteTarget(NamedTuple):
    """An absolute-form request target (RFC 9112 §3.2.2) taken apart; `authority` is the Host it is sent on with."""

    destination: Destination
    authority: bytes
    path: bytes


def read_authority(target: bytes) -> Destination | None:
    """The authority-form target of CONNECT (RFC 9112 §3.2.3), or None."""
    form = _AUTHORITY.fullmatch(target)
    return _destination(form[1], form[2]) if form else None


def read_absolute(target: bytes) -> AbsoluteTarget | None:
    """None for anything but http://host[:port][/path][?query]; user information and fragments are refused."""
    form = _ABSOLUTE.fullmatch(target)
    if form is None:
        return None
    destination = _destination(form[2], form[3] or b"%d" % HTTP_PORT)
    return AbsoluteTarget(destination, form[1], form[4]) if destination else None


def read_host(name: bytes) -> str | None:
    """What SOCKS calls a name: one, or a literal address, in brackets or not; None for anything else."""
    return _plain(name) if _NAME.fullmatch(name) else None


def _destination(host: bytes, port: bytes) -> Destination | None:
    number = int(port)
    return Destination(_plain(host), number) if 0 < number < 65536 else None


def _plain(host: bytes) -> str:
    """The dot behind a name says that it is whole; behind an IPv4 address it says nothing."""
    text = host.decode("ascii").strip("[]").lower()
    return text[:-1] if text[-1:] == "." and text[0].isdigit() and not text.strip("0123456789.") else text
