"""Denied ports and hosts of a proxy: canonical spellings and their meaning.

Imports the standard library alone, since the workers of the built-in engine use it.
"""

import re
from collections.abc import Iterable, Iterator
from ipaddress import ip_network

from shared.special_addresses import IpNetwork

PORTS = 65_535
DENY_PORTS: tuple[int | str, ...] = (25,)
"""Ports that a node denies by default: mail between servers, since hosts that send spam end up on block lists."""

_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_NUMBER = re.compile(r"([0-9]+|0x[0-9a-f]*)")
_RANGE = re.compile(r"([0-9]{1,5})-([0-9]{1,5})")

PortBounds = tuple[int, int]
"""The first port and the last."""


def port_bounds(port: int | str) -> PortBounds:
    """Parse a port, or a range "from-to". Raises ValueError with a reason for a person."""
    if isinstance(port, int):
        first = last = port
    elif form := _RANGE.fullmatch(port):
        first, last = int(form[1]), int(form[2])
    else:
        raise ValueError('must be a port number, or a range of ports as text: "from-to"')
    if not 1 <= first <= last <= PORTS:
        raise ValueError(f"ports must be from 1 to {PORTS}, and a range must not run backwards")
    return first, last


def canonical_ports(ports: Iterable[int | str]) -> tuple[int | str, ...]:
    """Sort ports and merge overlaps: a number for one port, "from-to" for several. Raises ValueError."""
    return tuple(first if first == last else f"{first}-{last}" for first, last in _merged(map(port_bounds, ports)))


def closed_ports(
    deny: Iterable[int | str], allow: Iterable[int | str], by_node: Iterable[int | str]
) -> tuple[PortBounds, ...]:
    """Compute the ports that a proxy's clients may not connect to.

    These are the denied ones, and all that are not allowed; a proxy without allowed ports has those of its node added.
    """
    denied = [port_bounds(port) for port in deny]
    allowed = _merged(port_bounds(port) for port in allow)
    denied += _between(allowed) if allowed else [port_bounds(port) for port in by_node]
    return tuple(_merged(denied))


def canonical_host(text: str) -> str:
    """Normalise a name (lower case, no final dot) or a network. Raises ValueError with a reason for a person."""
    text = text.strip("[]")
    try:
        return str(ip_network(text, strict=False))
    except ValueError:
        pass
    name = text.lower().removesuffix(".")
    if len(name) > 253 or not _NAME.fullmatch(name):
        raise ValueError(
            "must be a host name in its ASCII form (example.com, with its subdomains), an IP address or a network"
        )
    if _NUMBER.fullmatch(name.rpartition(".")[2]):
        raise ValueError("must be a host name or an IP address; the last part of a name must not be a number")
    return name


def split_hosts(hosts: Iterable[str]) -> tuple[frozenset[str], tuple[IpNetwork, ...]]:
    """Split canonical hosts into names and networks."""
    names, networks = list[str](), list[IpNetwork]()
    for host in hosts:
        try:
            networks.append(ip_network(host))
        except ValueError:
            names.append(host)
    return frozenset(names), tuple(networks)


def is_covered(name: str, names: frozenset[str]) -> bool:
    """Whether this name, in lower case, is one of the names or a subdomain of one."""
    name = name.removesuffix(".")
    while name not in names:
        _, dot, name = name.partition(".")
        if not dot:
            return False
    return True


def _merged(bounds: Iterable[PortBounds]) -> list[PortBounds]:
    found: list[PortBounds] = []
    for first, last in sorted(bounds):
        if found and first <= found[-1][1] + 1:
            found[-1] = found[-1][0], max(found[-1][1], last)
        else:
            found.append((first, last))
    return found


def _between(bounds: Iterable[PortBounds]) -> Iterator[PortBounds]:
    """Yield the ranges between these ranges, which are in order."""
    begin = 1
    for first, last in bounds:
        if begin < first:
            yield begin, first - 1
        begin = last + 1
    if begin <= PORTS:
        yield begin, PORTS
