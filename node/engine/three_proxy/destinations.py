"""Where 3proxy's clients may not go, as rules: pure text. It resolves a name before it compares, and dials what it
compared."""

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
"""As public as the IPv4 address inside, to which packets are sent on: 6to4 (RFC 3056), NAT64 (RFC 6052)."""

OLD_CARRIERS = (IPv6Network("::/96"), IPv6Network("::ffff:0:0:0/96"))
"""Never public: IPv4-compatible (RFC 4291), IPv4-translated (RFC 2765)."""

TEREDO = IPv6Network("2001::/32")
"""RFC 4380; the address inside is written upside down, so that no prefix tells it: closed as a whole."""

Rule = tuple[bool, str]
"""Whether clients are allowed there, and the network."""
Network = TypeVar("Network", IPv4Network, IPv6Network)


@dataclass(frozen=True, slots=True)
class DenyRules:
    """`closed` are networks that no client may reach, but for what `opened` has of them and for the public networks
    inside them."""

    closed: tuple[str, ...] = ()
    opened: tuple[str, ...] = ()

    def rules(self) -> Iterator[Rule]:
        """In the order in which they are to be asked; where none applies, clients are allowed.

        IPv4 comes first, in all spellings: opened IPv6 networks do not open the IPv4 addresses that they carry.
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
    """Raises ValueError for what is neither a network nor an address."""
    return DenyRules(*(tuple(str(ip_network(text, strict=False)) for text in texts) for texts in (closed, opened)))


def spellings(allowed: bool, network: IPv4Network) -> Iterator[str]:
    """The network, and the IPv6 networks that stand for it."""
    yield str(network)
    for carrier in CARRIERS if allowed else (*CARRIERS, *OLD_CARRIERS):
        yield str(inside(carrier, network))


def inside(carrier: IPv6Network, network: IPv4Network) -> IPv6Network:
    """The addresses under the carrier that hold one of the network's right behind its prefix."""
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
    closed: list[Network], public: Iterable[Network], spelt: Callable[[bool, Network], Iterable[str]]
) -> Iterator[Rule]:
    """What is closed as a whole first, so that no public network opens a part of it."""
    holes = [hole for hole in public if any(hole.subnet_of(network) for network in closed)]
    wide = [network for network in closed if any(hole.subnet_of(network) for hole in holes)]
    for allowed, networks in ((False, [each for each in closed if each not in wide]), (True, holes), (False, wide)):
        yield from ((allowed, text) for network in networks for text in spelt(allowed, network))


def denied_targets(asked: Destinations, by_node: Sequence[int | str]) -> Iterator[str]:
    """The targets and ports that a record closes to its clients on a node that denies these ports.

    3proxy compares names as they were asked for, in any case, and takes none of these for an address.
    """
    ports = closed_ports(asked.deny_ports, asked.allow_ports, by_node)
    if ports:
        yield f"* {','.join(f'{first}-{last}' if first != last else str(first) for first, last in ports)}"
    names, networks = split_hosts(asked.deny_hosts)
    for name in sorted(names):
        yield f"{name},*.{name}"
    for network in networks:
        yield from spellings(False, network) if isinstance(network, IPv4Network) else (str(network),)
