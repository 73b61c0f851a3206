"""What a proxy's settings say of ports and hosts that its clients may not reach: spellings, and what they mean.

The standard library is all it imports, for workers of the built-in engine use it.
"""

import re
from collections.abc import Iterable, Iterator
from ipaddress import ip_network

from shared.special_addresses import IpNetwork

PORTS = 65_535
DENY_PORTS: tuple[int | str, ...] = (25,)
"""What a node refuses by default: mail between servers. Hosts that send spam end up on every block list."""

_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_NUMBER = re.compile(r"([0-9]+|0x[0-9a-f]*)")
_RANGE = re.compile(r"([0-9]{1,5})-([0-9]{1,5})")

PortBounds = tuple[int, int]
"""The first port and the last."""


def port_bounds(port: int | str) -> PortBounds:
    """Of a port, or of a range "from-to". Raises ValueError."""
    if isinstance(port, int):
        first = last = port
    elif form := _RANGE.fullmatch(port):
        first, last = int(form[1]), int(form[2])
    else:
        raise ValueError('a port is a number, a range of ports a text "from-to"')
    if not 1 <= first <= last <= PORTS:
        raise ValueError(f"ports are 1 to {PORTS}, and a range does not run backwards")
    return first, last


def canonical_ports(ports: Iterable[int | str]) -> tuple[int | str, ...]:
    """In order and without overlaps: a number for one port, "from-to" for several. Raises ValueError."""
    return tuple(first if first == last else f"{first}-{last}" for first, last in _merged(map(port_bounds, ports)))


def closed_ports(
    deny: Iterable[int | str], allow: Iterable[int | str], by_node: Iterable[int | str]
) -> tuple[PortBounds, ...]:
    """What a proxy's clients may not connect to: what it denies and, if it allows some ports, all others; else what its
    node denies."""
    denied = [port_bounds(port) for port in deny]
    allowed = _merged(port_bounds(port) for port in allow)
    denied += _between(allowed) if allowed else [port_bounds(port) for port in by_node]
    return tuple(_merged(denied))


def canonical_host(text: str) -> str:
    """A name in lower case without its last dot, or a network in its canonical spelling. Raises ValueError."""
    text = text.strip("[]")
    try:
        return str(ip_network(text, strict=False))
    except ValueError:
        pass
    name = text.lower().removesuffix(".")
    if len(name) > 253 or not _NAME.fullmatch(name):
        raise ValueError(
            "a host is a name in its ASCII form (example.com, which covers its subdomains), an address or a network"
        )
    if _NUMBER.fullmatch(name.rpartition(".")[2]):
        raise ValueError("a name whose last part is a number is an address, and this is none")
    return name


def split_hosts(hosts: Iterable[str]) -> tuple[frozenset[str], tuple[IpNetwork, ...]]:
    """Names, and networks, of canonical hosts."""
    names, networks = list[str](), list[IpNetwork]()
    for host in hosts:
        try:
            networks.append(ip_network(host))
        except ValueError:
            names.append(host)
    return frozenset(names), tuple(networks)


def is_covered(name: str, names: frozenset[str]) -> bool:
    """Whether this name, in lower case, or a domain that it is in, is one of the names."""
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
    """All ports that are in none of these, which are in order."""
    begin = 1
    for first, last in bounds:
        if begin < first:
            yield begin, first - 1
        begin = last + 1
    if begin <= PORTS:
        yield begin, PORTS
