"""Where 3proxy's clients may not go, as rules: pure text. It resolves a name before it compares, and dials what it
compared."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

MAPPED = IPv6Network("::ffff:0:0/96")
"""IPv4 in IPv6 (RFC 4291); also the form of an IPv4 client on an IPv6 socket."""

CARRIERS = (MAPPED, IPv6Network("::/96"), IPv6Network("2002::/16"), IPv6Network("64:ff9b::/96"))
"""Addresses from which packets may be sent on to the IPv4 address inside: 6to4 (RFC 3056) and NAT64 (RFC 6052) too."""

TEREDO = "2001::/32"
"""RFC 4380; the address inside is written upside down, so that no prefix tells it."""


@dataclass(frozen=True, slots=True)
class Guard:
    """`closed` are networks that no client may reach, but for what `opened` has of them."""

    closed: tuple[str, ...] = ()
    opened: tuple[str, ...] = ()

    def openings(self) -> Iterator[str]:
        """Allowed before all that is closed."""
        for network in map(ip_network, self.opened if self.closed else ()):
            yield str(network)
            if isinstance(network, IPv4Network):
                yield str(inside(MAPPED, network))

    def closures(self) -> Iterator[str]:
        for network in map(ip_network, self.closed):
            yield str(network)
            if isinstance(network, IPv4Network):
                yield from (str(inside(carrier, network)) for carrier in CARRIERS)
        if self.closed:
            yield TEREDO


OPEN = Guard()


def guard(closed: Sequence[str], opened: Sequence[str]) -> Guard:
    """Raises ValueError for what is neither a network nor an address."""
    return Guard(*(tuple(str(ip_network(text, strict=False)) for text in texts) for texts in (closed, opened)))


def inside(carrier: IPv6Network, network: IPv4Network) -> IPv6Network:
    """The addresses under the carrier that hold one of the network's right behind its prefix."""
    shift = 96 - carrier.prefixlen
    return IPv6Network(
        (int(carrier.network_address) + (int(network.network_address) << shift), carrier.prefixlen + network.prefixlen)
    )
