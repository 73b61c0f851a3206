"""Ports and hosts that are closed to the clients of one proxy, in addition to addresses private to the node."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import ip_address
from typing import TypeVar

from node.engine.builtin.policy.records import DestinationsRecord
from node.engine.builtin.protocols.destinations import Destination
from node.engine.builtin.protocols.failures import ConnectFailure
from shared.destinations import PORTS, PortBounds, closed_ports, is_covered, split_hosts
from shared.special_addresses import IpNetwork, forms

F = TypeVar("F")
"""An address family."""

_REMEMBERED = 512


class DeniedDestinations:
    """The closed ports, names and networks of a proxy. Proxies with equal settings share an instance: most close
    nothing."""

    __slots__ = ("_names", "_ports", "networks")

    def __init__(self, ports: bytes, names: frozenset[str], networks: tuple[IpNetwork, ...]) -> None:
        """`ports` has a bit for each port, set where it is closed."""
        self._ports = ports
        self._names = names
        self.networks = networks

    def refusal(self, destination: Destination) -> ConnectFailure | None:
        """Why this destination is closed, judged by its port and its name; None if its addresses have to be checked
        too."""
        host, port = destination
        if self._ports[port >> 3] >> (port & 7) & 1:
            return ConnectFailure.PORT
        if self._names and is_covered(host.lower(), self._names):
            return ConnectFailure.CLOSED
        return None

    def open_of(self, addresses: Sequence[tuple[F, str]]) -> Sequence[tuple[F, str]] | ConnectFailure:
        """The addresses of a destination that are open, or the reason why there are none."""
        if not self.networks or not addresses:
            return addresses
        return [each for each in addresses if not _is_inside(each[1], self.networks)] or ConnectFailure.CLOSED

    def closes(self, destination: Destination, peer: str | None) -> bool:
        """Whether a connection to this destination, with this peer address, would be refused now."""
        if self.refusal(destination) is not None:
            return True
        return peer is not None and _is_inside(peer, self.networks)


@lru_cache(_REMEMBERED)
def denied_destinations(record: DestinationsRecord, node_deny_ports: tuple[int | str, ...]) -> DeniedDestinations:
    """Build the rules for a record on a node that closes `node_deny_ports`. Raises ValueError for an invalid port."""
    ports = closed_ports(record.deny_ports, record.allow_ports, node_deny_ports)
    return DeniedDestinations(_table(ports), *split_hosts(record.deny_hosts))


@lru_cache(_REMEMBERED)
def _table(closed: tuple[PortBounds, ...]) -> bytes:
    table = bytearray((PORTS + 1) // 8)
    for first, last in closed:
        for port in range(first, last + 1):
            table[port >> 3] |= 1 << (port & 7)
    return bytes(table)


@lru_cache(_REMEMBERED * 8)
def _is_inside(host: str, networks: tuple[IpNetwork, ...]) -> bool:
    return any(form in network for form in forms(ip_address(host)) for network in networks)
