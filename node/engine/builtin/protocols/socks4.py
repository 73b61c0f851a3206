"""SOCKS4 and its names, 4a, as bytes in, values out (Ying-Da Lee: SOCKS 4; SOCKS 4A).

Neither knows passwords. The user id is what the protocol has to tell who somebody is, so it carries `name:password`
where a proxy asks for that; a bare name is refused. Nobody's identd is asked.
"""

from ipaddress import IPv4Address
from typing import NamedTuple

from node.engine.builtin.protocols.destinations import Destination, read_host

VERSION = 0x04
GRANTED, REJECTED, OTHER_USER = 90, 91, 93

_FORM = bytes((VERSION, 0x01))
"""How a request for CONNECT begins."""
_HEAD = 8
_USER_ID_MAX = 400
"""Two credentials and a session's name fit (shared.proxies.CREDENTIAL_MAX)."""
_NAME_MAX = 255


class SocksRefused(NamedTuple):
    """What was sent cannot be done; it is answered with these bytes and the connection is closed."""

    answer: bytes


class Socks4Request(NamedTuple):
    """`size` bytes of a request to be connected; `user_id` is None when there is none."""

    size: int
    destination: Destination
    user_id: bytes | None


def reply(code: int) -> bytes:
    """Clients of CONNECT ignore the address and the port in it."""
    return bytes((0, code, 0, 0, 0, 0, 0, 0))


_TOO_LONG = -1
_REFUSED = SocksRefused(reply(REJECTED))


def read_request(data: bytes) -> Socks4Request | SocksRefused | None:
    """None while more bytes are needed. BIND is refused."""
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
    """The address 0.0.0.x says that a name follows (SOCKS 4A)."""
    end = _text_end(data, begin, _NAME_MAX)
    if end is None:
        return None
    host = read_host(data[begin:end])
    if end == _TOO_LONG or host is None:
        return _REFUSED
    return Socks4Request(end + 1, Destination(host, port), user_id)


def _text_end(data: bytes, begin: int, most: int) -> int | None:
    """Where the text's closing null is; None while it has not come, _TOO_LONG when it comes too late."""
    end = data.find(0, begin, begin + most + 1)
    if end >= 0:
        return end
    return None if len(data) <= begin + most else _TOO_LONG
