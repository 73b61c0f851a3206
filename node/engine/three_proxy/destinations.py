"""Rules about destinations that are closed to 3proxy's clients, as pure text. 3proxy resolves a name before it
compares, and connects to the address that it compared."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TypeVar

from shared.destinations import closed_ports, split_hosts
from shared.proxies import Destinations
from shared.special_addresses import PUBLIC

MAPPED = IPv6Network("::ffff:0:0/96")
"""IPv4 in IPv6 (RFC 4291); also the form of an IPv4 client on an IPv6 socket."""

CARRIERS = (MAPPED, IPv6Network("2002::/16"), IPv6Network("64:ff9b::/96"))
"""As public as the IPv4 address inside, to which packets are forwarded: 6to4 (RFC 3056), NAT64 (RFC 6052)."""

OLD_CARRIERS = (IPv6Network("::/96"), IPv6Network("::ffff:0:0:0/96"))
"""Never public: IPv4-compatible (RFC 4291), IPv4-translated (RFC 2765)."""

TEREDO = IPv6Network("2001::/32")
"""RFC 4380. The address inside is inverted, so no prefix matches it: closed as a whole."""

Rule = tuple[bool, str]
"""(whether clients may go there, the network)"""
Network = TypeVar("Network", IPv4Network, IPv6Network)


@dataclass(frozen=True, slots=True)
class DenyRules:
    """`closed` are networks that clients may not reach, except for the parts in `opened` and for public networks inside
    them."""

    closed: tuple[str, ...] = ()
    opened: tuple[str, ...] = ()

    def rules(self) -> Iterator[Rule]:
        """The rules in the order in which they apply; if none matches, the destination is allowed.

        IPv4 comes first, in all spellings: opened IPv6 networks do not open the IPv4 addresses inside them.
        """
        if not self.closed:
            return
        closed4, closed6 = _by_version(self.closed)
        opened4, opened6 = _by_version(self.opened)
        yield from ((True, text) for network in opened4 for text in spellings(True, network))
        yield from _rules(closed4, (each for each in PUBLIC if isinstance(each, IPv4Network)), spellings)
        yield from ((True, str(network)) for network in opened6)
        yield False, str(TEREDO)
        public6 = (each for each in PUBLIC if isinstance(each, IPv6Network) and each != TEREDO)
        yield from _rules(closed6, public6, lambda _, network: (str(network),))


OPEN = DenyRules()


def guard(closed: Sequence[str], opened: Sequence[str]) -> DenyRules:
    """Build the rules. Raises ValueError for anything but networks and addresses."""
    return DenyRules(*(tuple(str(ip_network(text, strict=False)) for text in texts) for texts in (closed, opened)))


def spellings(allowed: bool, network: IPv4Network) -> Iterator[str]:
    """The network, and the IPv6 networks that contain its addresses."""
    yield str(network)
    for carrier in CARRIERS if allowed else (*CARRIERS, *OLD_CARRIERS):
        yield str(inside(carrier, network))


def inside(carrier: IPv6Network, network: IPv4Network) -> IPv6Network:
    """The IPv6 network of those addresses of the carrier that have an address of the network right after the prefix."""
    shift = 96 - carrier.prefixlen
    return IPv6Network(
        (int(carrier.network_address) + (int(network.network_address) << shift), carrier.prefixlen + network.prefixlen)
    )


def _by_version(texts: Iterable[str]) -> tuple[list[IPv4Network], list[IPv6Network]]:
    found = [ip_network(text) for text in texts]
    return [each for each in found if isinstance(each, IPv4Network)], [
        each for each in found if isinstance(each, IPv6Network)
    ]


def _rules(
    closed: list[Network], public: Iterable[Network], spell: Callable[[bool, Network], Iterable[str]]
) -> Iterator[Rule]:
    """Networks that are closed as a whole come first, so that no public network opens a part of them."""
    holes = [hole for hole in public if any(hole.subnet_of(network) for network in closed)]
    wide = [network for network in closed if any(hole.subnet_of(network) for hole in holes)]
    for allowed, networks in ((False, [each for each in closed if each not in wide]), (True, holes), (False, wide)):
        yield from ((allowed, text) for network in networks for text in spell(allowed, network))


def denied_targets(record: Destinations, node_deny_ports: Sequence[int | str]) -> Iterator[str]:
    """The targets and ports that a record closes to its clients, on a node that closes `node_deny_ports`.

    3proxy compares names as they were requested, ignoring case, and takes none of these for an address.
    """
    ports = closed_ports(record.deny_ports, record.allow_ports, node_deny_ports)
    if ports:
        yield f"* {','.join(f'{first}-{last}' if first != last else str(first) for first, last in ports)}"
    names, networks = split_hosts(record.deny_hosts)
    for name in sorted(names):
        yield f"{name},*.{name}"
    for network in networks:
        yield from spellings(False, network) if isinstance(network, IPv4Network) else (str(network),)
