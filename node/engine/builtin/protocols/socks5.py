"""SOCKS5 as bytes in, values out: RFC 1928 and its user name and password method, RFC 1929."""

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
LONGEST_ANSWER_HEAD = 4 + 16 + 2

_LONGEST_GREETING = 2 + 255
_LONGEST_LOGIN = 2 + 255 + 1 + 255
_LONGEST_REQUEST = 4 + 1 + 255 + 2
_CONNECT, _ASSOCIATE = 0x01, 0x03
_NAME = 0x03
_UNKNOWN = -1
_REMEMBERED = 256
"""Messages of each kind: most clients repeat themselves."""
_ADDRESS_ENDS = MappingProxyType({0x01: 8, 0x04: 20})
"""Where an IPv4 and an IPv6 address end in a request."""


class Malformed(NamedTuple):
    """What was sent is not SOCKS5; it is answered with these bytes and the connection is closed."""

    answer: bytes


class Greeting(NamedTuple):
    """`size` bytes of the client's offer of authentication methods."""

    size: int
    methods: bytes


class SocksLogin(NamedTuple):
    """`size` bytes of a login; `credentials` is `name:password`."""

    size: int
    credentials: bytes


class SocksRequest(NamedTuple):
    """`size` bytes of a request to be connected; of one to have datagrams relayed if `udp`.

    Then the destination is where the client says it will send from, port 0 if it does not know.
    """

    size: int
    destination: Destination
    udp: bool = False


class Datagram(NamedTuple):
    """`size` bytes of a client's datagram are its head (RFC 1928 §7)."""

    size: int
    destination: Destination


def read_greeting(data: bytes) -> Greeting | Malformed | None:
    """None while more bytes are needed."""
    return _greeting(data[:_LONGEST_GREETING])


@lru_cache(_REMEMBERED)
def _greeting(data: bytes) -> Greeting | Malformed | None:
    if data and data[0] != VERSION:
        return Malformed(b"")
    if len(data) < 2 or len(data) < 2 + data[1]:
        return None
    return Greeting(2 + data[1], data[2 : 2 + data[1]])


def choose_method(methods: bytes, *, login_needed: bool, login_welcome: bool = False) -> int:
    """Who needs no login may still send one: many clients offer nothing else once they are given a password.

    One that is welcome is preferred to none: it may name a session.
    """
    if USER_PASSWORD in methods and (login_needed or login_welcome or NO_AUTHENTICATION not in methods):
        return USER_PASSWORD
    return NO_AUTHENTICATION if NO_AUTHENTICATION in methods and not login_needed else NO_ACCEPTABLE


def read_login(data: bytes) -> SocksLogin | Malformed | None:
    """None while more bytes are needed."""
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
    """None while more bytes are needed. BIND is refused by the code for that."""
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
    return _wanted(data[: end + 2]) if end is not None and len(data) >= end + 2 else None


def read_datagram(data: bytes) -> Datagram | None:
    """None for what is to be dropped: no head, a fragment, or no place to send it to."""
    if len(data) < 5 or data[:3] != b"\0\0\0":
        return None
    end = _address_end(data)
    if end is None or end == _UNKNOWN or len(data) < end + 2:
        return None
    host, port = _host(data, end), int.from_bytes(data[end : end + 2])
    return Datagram(end + 2, Destination(host, port)) if host is not None and port else None


def answer_head(host: str, port: int) -> bytes:
    """What stands before a datagram to the client; `host` is a literal address."""
    return b"\0\0\0" + _place(host, port)


def reply(code: int, host: str = "0.0.0.0", port: int = 0) -> bytes:
    """The bound address and port, which clients of CONNECT have no use for."""
    return bytes((VERSION, code, 0)) + _place(host, port)


def _wanted(request: bytes) -> SocksRequest | Malformed:
    end = len(request) - 2
    host, port = _host(request, end), int.from_bytes(request[end:])
    if host is None:
        return Malformed(reply(HOST_UNREACHABLE))
    udp = request[1] == _ASSOCIATE
    return SocksRequest(end + 2, Destination(host, port), udp) if port or udp else Malformed(reply(GENERAL_FAILURE))


def _address_end(data: bytes) -> int | None:
    """Where the address behind four bytes ends; None while it cannot be told, _UNKNOWN for none of the three types."""
    if data[3] != _NAME:
        return _ADDRESS_ENDS.get(data[3], _UNKNOWN)
    return 5 + data[4] if len(data) > 4 else None


def _host(data: bytes, end: int) -> str | None:
    if data[3] == _NAME:
        return read_host(data[5:end])
    packed = data[4:end]
    # Ten times as fast as by way of ip_address, for every connection.
    return f"{packed[0]}.{packed[1]}.{packed[2]}.{packed[3]}" if len(packed) == 4 else str(ip_address(packed))


def _place(host: str, port: int) -> bytes:
    address = ip_address(host)
    return (b"\1" if address.version == 4 else b"\4") + address.packed + port.to_bytes(2)
