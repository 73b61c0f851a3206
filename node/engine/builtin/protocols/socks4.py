"""SOCKS4 and SOCKS4a (Ying-Da Lee: SOCKS 4; SOCKS 4A) as bytes in, values out.

The protocol has no passwords. Its user id carries `name:password` where a proxy requires a login; a bare name is
refused. identd is not used.
"""

from ipaddress import IPv4Address
from typing import NamedTuple

from node.engine.builtin.protocols.destinations import Destination, read_host

VERSION = 0x04
GRANTED, REJECTED, OTHER_USER = 90, 91, 93

_FORM = bytes((VERSION, 0x01))
"""The first bytes of a CONNECT request."""
_HEAD = 8
_USER_ID_MAX = 400
"""Enough for a name, a password and a session's name (shared.proxies.CREDENTIAL_MAX)."""
_NAME_MAX = 255


class SocksRefused(NamedTuple):
    """An invalid request: `answer` is sent and the connection is closed."""

    answer: bytes


class Socks4Request(NamedTuple):
    """A CONNECT request of `size` bytes; `user_id` is None when it is empty."""

    size: int
    destination: Destination
    user_id: bytes | None


def reply(code: int) -> bytes:
    """A reply. Clients ignore the address and the port in it."""
    return bytes((0, code, 0, 0, 0, 0, 0, 0))


_TOO_LONG = -1
_REFUSED = SocksRefused(reply(REJECTED))


def read_request(data: bytes) -> Socks4Request | SocksRefused | None:
    """Parse a request; None while it is incomplete. BIND is refused."""
    if not _FORM.startswith(data[:2]):
        return _REFUSED
    if len(data) < _HEAD:
        return None
    port, address = int.from_bytes(data[2:4]), data[4:_HEAD]
    user_end = _text_end(data, _HEAD, _USER_ID_MAX)
    if not port or user_end == _TOO_LONG or not int.from_bytes(address):
        return _REFUSED
    if user_end is None:
        return None
    user_id = data[_HEAD:user_end] or None
    if address.startswith(b"\0\0\0"):
        return _named(data, user_end + 1, port, user_id)
    return Socks4Request(user_end + 1, Destination(str(IPv4Address(address)), port), user_id)


def _named(data: bytes, begin: int, port: int, user_id: bytes | None) -> Socks4Request | SocksRefused | None:
    """Parse the name that follows an address 0.0.0.x (SOCKS 4A)."""
    end = _text_end(data, begin, _NAME_MAX)
    if end is None:
        return None
    host = read_host(data[begin:end])
    if end == _TOO_LONG or host is None:
        return _REFUSED
    return Socks4Request(end + 1, Destination(host, port), user_id)


def _text_end(data: bytes, begin: int, most: int) -> int | None:
    """The position of the null that ends the text; None if it has not arrived, _TOO_LONG if the text is too long."""
    end = data.find(0, begin, begin + most + 1)
    if end >= 0:
        return end
    return None if len(data) <= begin + most else _TOO_LONG
