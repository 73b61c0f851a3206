"""SOCKS5 as bytes in, values out: RFC 1928, and its user name and password method, RFC 1929."""

from functools import lru_cache
from ipaddress import ip_address
from types import MappingProxyType
from typing import NamedTuple

from node.engine.builtin.protocols.destinations import Destination, read_host

VERSION = 0x05
NO_AUTHENTICATION, USER_PASSWORD, NO_ACCEPTABLE = 0x00, 0x02, 0xFF
SUCCEEDED, GENERAL_FAILURE, NOT_ALLOWED, HOST_UNREACHABLE = 0x00, 0x01, 0x02, 0x04
COMMAND_NOT_SUPPORTED, ADDRESS_TYPE_NOT_SUPPORTED = 0x07, 0x08

LOGIN_ACCEPTED, LOGIN_REFUSED = b"\x01\x00", b"\x01\x01"

LONGEST_DATAGRAM_HEAD = 4 + 1 + 255 + 2
LONGEST_REPLY_HEAD = 4 + 16 + 2

_LONGEST_GREETING = 2 + 255
_LONGEST_LOGIN = 2 + 255 + 1 + 255
_LONGEST_REQUEST = 4 + 1 + 255 + 2
_CONNECT, _ASSOCIATE = 0x01, 0x03
_NAME = 0x03
_UNKNOWN = -1
_REMEMBERED = 256
"""Cached messages of each kind: most clients repeat themselves."""
_ADDRESS_ENDS = MappingProxyType({0x01: 8, 0x04: 20})
"""The end of an IPv4 and of an IPv6 address in a request."""


class Malformed(NamedTuple):
    """An invalid message: `answer` is sent and the connection is closed."""

    answer: bytes


class Greeting(NamedTuple):
    """The client's offer of authentication methods, `size` bytes long."""

    size: int
    methods: bytes


class SocksLogin(NamedTuple):
    """A login of `size` bytes; `credentials` is `name:password`."""

    size: int
    credentials: bytes


class SocksRequest(NamedTuple):
    """A request of `size` bytes: CONNECT, or UDP ASSOCIATE if `udp`.

    For UDP ASSOCIATE the destination is the address from which the client will send, with port 0 if it does not know.
    """

    size: int
    destination: Destination
    udp: bool = False


class Datagram(NamedTuple):
    """A client's datagram, whose header takes `size` bytes (RFC 1928 §7)."""

    size: int
    destination: Destination


def read_greeting(data: bytes) -> Greeting | Malformed | None:
    """Parse a greeting; None while it is incomplete."""
    return _greeting(data[:_LONGEST_GREETING])


@lru_cache(_REMEMBERED)
def _greeting(data: bytes) -> Greeting | Malformed | None:
    if data and data[0] != VERSION:
        return Malformed(b"")
    if len(data) < 2 or len(data) < 2 + data[1]:
        return None
    return Greeting(2 + data[1], data[2 : 2 + data[1]])


def choose_method(methods: bytes, *, login_needed: bool, login_welcome: bool = False) -> int:
    """Choose an authentication method. A client may log in even where that is not required: many clients offer nothing
    else once they are configured with a password.

    Where a login is welcome it is preferred to none, because it may name a session.
    """
    if USER_PASSWORD in methods and (login_needed or login_welcome or NO_AUTHENTICATION not in methods):
        return USER_PASSWORD
    return NO_AUTHENTICATION if NO_AUTHENTICATION in methods and not login_needed else NO_ACCEPTABLE


def read_login(data: bytes) -> SocksLogin | Malformed | None:
    """Parse a login; None while it is incomplete."""
    return _login(data[:_LONGEST_LOGIN])


@lru_cache(_REMEMBERED)
def _login(data: bytes) -> SocksLogin | Malformed | None:
    if data and data[0] != 0x01:
        return Malformed(LOGIN_REFUSED)
    if len(data) < 2:
        return None
    name_end = 2 + data[1]
    if len(data) <= name_end or len(data) <= name_end + data[name_end]:
        return None
    size = name_end + 1 + data[name_end]
    return SocksLogin(size, data[2:name_end] + b":" + data[name_end + 1 : size])


def read_request(data: bytes) -> SocksRequest | Malformed | None:
    """Parse a request; None while it is incomplete. BIND is refused as an unsupported command."""
    return _request(data[:_LONGEST_REQUEST])


@lru_cache(_REMEMBERED)
def _request(data: bytes) -> SocksRequest | Malformed | None:
    if data and data[0] != VERSION:
        return Malformed(reply(GENERAL_FAILURE))
    if len(data) < 4:
        return None
    if data[1] not in (_CONNECT, _ASSOCIATE):
        return Malformed(reply(COMMAND_NOT_SUPPORTED))
    end = _address_end(data)
    if end == _UNKNOWN:
        return Malformed(reply(ADDRESS_TYPE_NOT_SUPPORTED))
    return _destination_request(data[: end + 2]) if end is not None and len(data) >= end + 2 else None


def read_datagram(data: bytes) -> Datagram | None:
    """Parse a datagram's header. None if the datagram is to be dropped: no header, a fragment, or no valid
    destination."""
    if len(data) < 5 or data[:3] != b"\0\0\0":
        return None
    end = _address_end(data)
    if end is None or end == _UNKNOWN or len(data) < end + 2:
        return None
    host, port = _host(data, end), int.from_bytes(data[end : end + 2])
    return Datagram(end + 2, Destination(host, port)) if host is not None and port else None


def datagram_head(host: str, port: int) -> bytes:
    """The header of a datagram to the client; `host` is a literal address."""
    return b"\0\0\0" + _packed_address(host, port)


def reply(code: int, host: str = "0.0.0.0", port: int = 0) -> bytes:
    """A reply with the bound address and port, which clients of CONNECT ignore."""
    return bytes((VERSION, code, 0)) + _packed_address(host, port)


def _destination_request(request: bytes) -> SocksRequest | Malformed:
    end = len(request) - 2
    host, port = _host(request, end), int.from_bytes(request[end:])
    if host is None:
        return Malformed(reply(HOST_UNREACHABLE))
    udp = request[1] == _ASSOCIATE
    return SocksRequest(end + 2, Destination(host, port), udp) if port or udp else Malformed(reply(GENERAL_FAILURE))


def _address_end(data: bytes) -> int | None:
    """The end of the address that follows the first four bytes; None if it is not known yet, _UNKNOWN for an unknown
    type."""
    if data[3] != _NAME:
        return _ADDRESS_ENDS.get(data[3], _UNKNOWN)
    return 5 + data[4] if len(data) > 4 else None


def _host(data: bytes, end: int) -> str | None:
    if data[3] == _NAME:
        return read_host(data[5:end])
    packed = data[4:end]
    # Ten times as fast as ip_address, and done for every connection.
    return f"{packed[0]}.{packed[1]}.{packed[2]}.{packed[3]}" if len(packed) == 4 else str(ip_address(packed))


def _packed_address(host: str, port: int) -> bytes:
    address = ip_address(host)
    return (b"\1" if address.version == 4 else b"\4") + address.packed + port.to_bytes(2)
