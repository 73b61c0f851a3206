"""SOCKS5 as bytes in, values out: RFC 1928 and its user name and password method, RFC 1929."""

from ipaddress import ip_address
from types import MappingProxyType
from typing import NamedTuple

from node.engine.builtin.destinations import Destination, read_host

VERSION = 0x05
NO_AUTHENTICATION, USER_PASSWORD, NO_ACCEPTABLE = 0x00, 0x02, 0xFF
SUCCEEDED, GENERAL_FAILURE, NOT_ALLOWED, HOST_UNREACHABLE = 0x00, 0x01, 0x02, 0x04
COMMAND_NOT_SUPPORTED, ADDRESS_TYPE_NOT_SUPPORTED = 0x07, 0x08

LOGIN_ACCEPTED, LOGIN_REFUSED = b"\x01\x00", b"\x01\x01"

_CONNECT = 0x01
_NAME = 0x03
_ADDRESS_ENDS = MappingProxyType({0x01: 8, 0x04: 20})
"""Where an IPv4 and an IPv6 address end in a request."""


class Malformed(NamedTuple):
    """What was sent is not SOCKS5; it is answered with these bytes and the connection is closed."""

    answer: bytes


class Greeting(NamedTuple):
    """`size` bytes of the client's offer of authentication methods."""

    size: int
    methods: bytes


class Login(NamedTuple):
    """`size` bytes of a login; `credentials` is `name:password`."""

    size: int
    credentials: bytes


class Wanted(NamedTuple):
    """`size` bytes of a request to be connected."""

    size: int
    destination: Destination


def read_greeting(data: bytes) -> Greeting | Malformed | None:
    """None while more bytes are needed."""
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


def read_login(data: bytes) -> Login | Malformed | None:
    """None while more bytes are needed."""
    if data and data[0] != 0x01:
        return Malformed(LOGIN_REFUSED)
    if len(data) < 2:
        return None
    name_end = 2 + data[1]
    if len(data) <= name_end or len(data) <= name_end + data[name_end]:
        return None
    size = name_end + 1 + data[name_end]
    return Login(size, data[2:name_end] + b":" + data[name_end + 1 : size])


def read_request(data: bytes) -> Wanted | Malformed | None:
    """None while more bytes are needed. BIND and UDP ASSOCIATE are refused by the code for that."""
    if data and data[0] != VERSION:
        return Malformed(reply(GENERAL_FAILURE))
    if len(data) < 4:
        return None
    if data[1] != _CONNECT:
        return Malformed(reply(COMMAND_NOT_SUPPORTED))
    if data[3] == _NAME:
        return _named(data)
    end = _ADDRESS_ENDS.get(data[3])
    if end is None:
        return Malformed(reply(ADDRESS_TYPE_NOT_SUPPORTED))
    return _wanted(data, str(ip_address(data[4:end])), end) if len(data) >= end + 2 else None


def _named(data: bytes) -> Wanted | Malformed | None:
    if len(data) < 5 or len(data) < 7 + data[4]:
        return None
    end = 5 + data[4]
    host = read_host(data[5:end])
    if host is None:
        return Malformed(reply(HOST_UNREACHABLE))
    return _wanted(data, host, end)


def _wanted(data: bytes, host: str, end: int) -> Wanted | Malformed:
    port = int.from_bytes(data[end : end + 2])
    if not port:
        return Malformed(reply(GENERAL_FAILURE))
    return Wanted(end + 2, Destination(host, port))


def reply(code: int) -> bytes:
    """The bound address is told as 0.0.0.0:0: clients of CONNECT have no use for it."""
    return bytes((VERSION, code, 0, 1, 0, 0, 0, 0, 0, 0))
