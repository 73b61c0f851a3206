"""Routes of the host: asks the kernel where packets to an address would go (rtnetlink(7), RTM_GETROUTE)."""

import socket
import struct
from ipaddress import IPv4Address, IPv6Address
from types import TracebackType
from typing import Self

_NEW_ROUTE, _GET_ROUTE = 24, 26
_REQUEST = 1
_ERROR = 2
_DESTINATION = 1
_LOCAL = 2
"""RTN_LOCAL: packets are delivered on this host. Broadcast and anycast addresses have other types."""

_HEADER = struct.Struct("=IHHII")
_ROUTE = struct.Struct("=BBBBBBBBI")
_ATTRIBUTE = struct.Struct("=HH")
_READ = 65536
_TIMEOUT_S = 2.0


class Routes:
    """A netlink socket for any number of requests. Entering its context raises OSError."""

    def __enter__(self) -> Self:
        self._link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._link.settimeout(_TIMEOUT_S)
        self._number = 0
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._link.close()

    def is_local(self, address: IPv4Address | IPv6Address) -> bool:
        """Whether packets to this address are delivered on this host.

        Raises OSError when the kernel does not answer. An error in its answer means that there is no such route.
        """
        self._number += 1
        self._link.send(route_request(address, self._number))
        while True:
            answer = self._link.recv(_READ)
            _, kind, _, number, _ = _HEADER.unpack_from(answer)
            if number == self._number and kind in (_NEW_ROUTE, _ERROR):
                return kind == _NEW_ROUTE and _ROUTE.unpack_from(answer, _HEADER.size)[7] == _LOCAL


def route_request(address: IPv4Address | IPv6Address, number: int) -> bytes:
    """Build the request for the route to this address."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    packed = address.packed
    route = _ROUTE.pack(family, len(packed) * 8, 0, 0, 0, 0, 0, 0, 0)
    body = route + _ATTRIBUTE.pack(_ATTRIBUTE.size + len(packed), _DESTINATION) + packed
    return _HEADER.pack(_HEADER.size + len(body), _GET_ROUTE, _REQUEST, number, 0) + body
