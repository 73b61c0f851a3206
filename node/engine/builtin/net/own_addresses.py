"""The addresses of this host, from the kernel's table of local routes (rtnetlink(7))."""

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_network

from shared.special_addresses import IpNetwork

_GET_ROUTE, _NEW_ROUTE = 26, 24
_REQUEST_DUMP = 0x301
_ERROR, _DONE = 2, 3
_DESTINATION, _TABLE = 1, 15
_LOCAL_TABLE = 255
_OURS = frozenset({2, 3, 4})
"""RTN_LOCAL, RTN_BROADCAST, RTN_ANYCAST (linux/rtnetlink.h); a whole prefix may be local (`ip route add local`)."""

_GROUPS = 0x10 | 0x100
"""RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR"""
_SOL_NETLINK, _STRICT_CHECK = 270, 12
"""NETLINK_GET_STRICT_CHK: the kernel dumps only the local table; without it, all tables."""

_HEADER = struct.Struct("=IHHII")
_ROUTE = struct.Struct("=BBBBBBBBI")
_ATTRIBUTE = struct.Struct("=HH")
_READ = 1 << 20
_PATIENCE_S = 2.0


def own_networks() -> frozenset[IpNetwork]:
    """Read the local addresses. Raises OSError if the kernel reports an error, ValueError if its answer is
    malformed."""
    found: set[IpNetwork] = set()
    for family in (socket.AF_INET, socket.AF_INET6):
        found.update(_local_routes(family))
    return frozenset(found)


def open_notice() -> socket.socket:
    """Open a socket that becomes readable when an address is added or removed. Raises OSError."""
    notice = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
    notice.bind((0, _GROUPS))
    return notice


def _local_routes(family: int) -> Iterator[IpNetwork]:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as link:
        link.settimeout(_PATIENCE_S)
        # Kernels before 4.20 do not support this: they send all routes, which are filtered below.
        with suppress(OSError):
            link.setsockopt(_SOL_NETLINK, _STRICT_CHECK, 1)
        question = _ROUTE.pack(family, 0, 0, 0, _LOCAL_TABLE, 0, 0, 0, 0)
        link.send(_HEADER.pack(_HEADER.size + len(question), _GET_ROUTE, _REQUEST_DUMP, 1, 0) + question)
        while True:
            for kind, body in _messages(link.recv(_READ)):
                if kind == _DONE:
                    return
                if kind == _ERROR:
                    number = -struct.unpack_from("=i", body)[0]
                    raise OSError(number, os.strerror(number))
                if kind == _NEW_ROUTE:
                    yield from _network(body)


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, *_ = _HEADER.unpack_from(data, at)
        if not _HEADER.size <= length <= len(data) - at:
            raise ValueError("netlink: a message is cut off")
        yield kind, data[at + _HEADER.size : at + length]
        at += _aligned(length)


def _network(route: bytes) -> Iterator[IpNetwork]:
    """Yield the local network of a route, if it is one."""
    family, bits, _, _, table, _, _, kind, _ = _ROUTE.unpack_from(route)
    attributes = dict(_attributes(route[_ROUTE.size :]))
    if _TABLE in attributes:
        (table,) = struct.unpack("=I", attributes[_TABLE])
    destination = attributes.get(_DESTINATION)
    if table == _LOCAL_TABLE and kind in _OURS and destination is not None:
        address = IPv4Address(destination) if family == socket.AF_INET else IPv6Address(destination)
        yield ip_network((address, bits), strict=False)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if not _ATTRIBUTE.size <= length <= len(data) - at:
            raise ValueError("netlink: an attribute is cut off")
        yield kind, data[at + _ATTRIBUTE.size : at + length]
        at += _aligned(length)


def _aligned(length: int) -> int:
    return (length + 3) & ~3
