"""Destinations as clients name them in HTTP and SOCKS requests."""

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
    """Parse the authority-form target of CONNECT (RFC 9112 §3.2.3), or return None."""
    form = _AUTHORITY.fullmatch(target)
    return _destination(form[1], form[2]) if form else None


def read_absolute(target: bytes) -> AbsoluteTarget | None:
    """Parse http://host[:port][/path][?query]. None for anything else; user information and fragments are refused."""
    form = _ABSOLUTE.fullmatch(target)
    if form is None:
        return None
    destination = _destination(form[2], form[3] or b"%d" % HTTP_PORT)
    return AbsoluteTarget(destination, form[1], form[4]) if destination else None


def read_host(name: bytes) -> str | None:
    """Parse the name in a SOCKS request: a host name, or a literal address with or without brackets. None if
    invalid."""
    return _plain(name) if _NAME.fullmatch(name) else None


def _destination(host: bytes, port: bytes) -> Destination | None:
    number = int(port)
    return Destination(_plain(host), number) if 0 < number < 65536 else None


def _plain(host: bytes) -> str:
    """Normalize a host. The dot that ends a fully qualified name stays; behind an IPv4 address it means nothing."""
    text = host.decode("ascii").strip("[]").lower()
    return text[:-1] if text[-1:] == "." and text[0].isdigit() and not text.strip("0123456789.") else text
