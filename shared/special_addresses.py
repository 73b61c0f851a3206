"""Special-purpose addresses of IANA's registries, and IPv4 addresses embedded in IPv6: decides what is public.

Imports the standard library alone, since the workers of the built-in engine use it.
"""

from collections.abc import Iterator
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from types import MappingProxyType
from typing import Literal

IpNetwork = IPv4Network | IPv6Network
IpAddress = IPv4Address | IPv6Address
Kind = Literal[
    "this host", "loopback", "link-local", "metadata", "private", "multicast", "documentation", "protocol", "reserved"
]

_METADATA, _PRIVATE, _DOCS, _PROTOCOL, _RESERVED = "metadata", "private", "documentation", "protocol", "reserved"
_PUBLIC = None

_TABLE: tuple[tuple[str, Kind | None], ...] = (
    ("0.0.0.0/8", "this host"),  # RFC 791; 0.0.0.0 connects to the loopback
    ("10.0.0.0/8", _PRIVATE),  # RFC 1918
    ("100.64.0.0/10", _PRIVATE),  # RFC 6598
    ("100.100.100.200/32", _METADATA),  # Alibaba
    ("127.0.0.0/8", "loopback"),
    ("168.63.129.16/32", _METADATA),  # Azure's host agent, in public address space
    ("169.254.0.0/16", "link-local"),  # RFC 3927, and in it every large cloud's metadata service
    ("172.16.0.0/12", _PRIVATE),
    ("192.0.0.0/24", _PROTOCOL),  # RFC 6890
    ("192.0.0.9/32", _PUBLIC),  # RFC 7723, anycast
    ("192.0.0.10/32", _PUBLIC),  # RFC 8155, anycast
    ("192.0.0.192/32", _METADATA),  # Oracle
    ("192.0.2.0/24", _DOCS),  # RFC 5737
    ("192.31.196.0/24", _PUBLIC),  # RFC 7535, AS112
    ("192.52.193.0/24", _PUBLIC),  # RFC 7450, AMT
    ("192.88.99.0/24", _PROTOCOL),  # RFC 7526: relays of 6to4, which no longer exist
    ("192.168.0.0/16", _PRIVATE),
    ("192.175.48.0/24", _PUBLIC),  # RFC 7534, AS112
    ("198.18.0.0/15", _PROTOCOL),  # RFC 2544, benchmarks
    ("198.51.100.0/24", _DOCS),
    ("203.0.113.0/24", _DOCS),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", _RESERVED),  # RFC 1112; with the broadcast address
    # IPv6 outside 2000::/3 is not allocated, except for the following.
    ("::/3", _RESERVED),
    ("4000::/2", _RESERVED),
    ("8000::/1", _RESERVED),
    ("::/128", "this host"),
    ("::1/128", "loopback"),
    ("::ffff:0:0/96", _PUBLIC),  # RFC 4291, IPv4-mapped: means the IPv4 address inside
    ("64:ff9b::/96", _PUBLIC),  # RFC 6052, NAT64: as public as the IPv4 address inside
    ("64:ff9b:1::/48", _PRIVATE),  # RFC 8215, NAT64 of one network
    ("100::/64", _PROTOCOL),  # RFC 6666, discard
    ("100:0:0:1::/64", _PROTOCOL),  # RFC 9780
    ("2001::/23", _PROTOCOL),  # RFC 2928, except for the following
    ("2001::/32", _PUBLIC),  # RFC 4380, Teredo: as public as the IPv4 addresses inside
    ("2001:1::1/128", _PUBLIC),  # RFC 7723, anycast
    ("2001:1::2/128", _PUBLIC),  # RFC 8155, anycast
    ("2001:1::3/128", _PUBLIC),  # RFC 9665, anycast
    ("2001:3::/32", _PUBLIC),  # RFC 7450, AMT
    ("2001:4:112::/48", _PUBLIC),  # RFC 7535, AS112
    ("2001:20::/28", _PUBLIC),  # RFC 7343, ORCHIDv2
    ("2001:30::/28", _PUBLIC),  # RFC 9374, drones
    ("2001:db8::/32", _DOCS),  # RFC 3849
    ("2002::/16", _PUBLIC),  # RFC 3056, 6to4: as public as the IPv4 address inside
    ("3fff::/20", _DOCS),  # RFC 9637
    ("5f00::/16", _PROTOCOL),  # RFC 9602, SRv6
    ("fc00::/7", _PRIVATE),  # RFC 4193
    ("fd00:ec2::/32", _METADATA),  # AWS
    ("fd20:ce::/32", _METADATA),  # Google
    ("fe80::/10", "link-local"),
    ("fec0::/10", _PRIVATE),  # RFC 3879
    ("ff00::/8", "multicast"),
)
"""Kinds by prefix, None for public. The longest prefix that contains an address decides. Sources: the registries of
June 2025 (iana.org/assignments/iana-ipv4-special-registry and iana-ipv6-special-registry), and the clouds' services."""

CLOSED: tuple[IpNetwork, ...] = tuple(ip_network(text) for text, kind in _TABLE if kind is not None)
"""Networks that are not public, except for the networks of PUBLIC inside them."""
PUBLIC: tuple[IpNetwork, ...] = tuple(ip_network(text) for text, kind in _TABLE if kind is None)

_MAPPED = 0xFFFF
"""::ffff:a.b.c.d without its last 32 bits. The prefixes of the other forms are shifted in the same way."""
_TRANSLATED = 0xFFFF0000
_NAT64 = 0x64FF9B << 64
_LOCAL_NAT64 = 0x64FF9B0001
_TEREDO, _SIXTOFOUR = 0x20010000, 0x2002
_ISATAP = (0x00005EFE, 0x02005EFE)
_LOW = 0xFFFFFFFF
_REMEMBERED = 4096


def _rows(version: int) -> tuple[tuple[int, int, Kind | None], ...]:
    """List (host bits, network number, kind), the longest prefix first."""
    rows: list[tuple[int, int, Kind | None]] = []
    for text, kind in _TABLE:
        network = ip_network(text)
        if network.version == version:
            host_bits = network.max_prefixlen - network.prefixlen
            rows.append((host_bits, int(network.network_address) >> host_bits, kind))
    return tuple(sorted(rows, key=lambda row: row[0]))


_ROWS = MappingProxyType({4: _rows(4), 6: _rows(6)})


def kind_of(address: IpAddress) -> Kind | None:
    """Look up the kind of this address, without its embedded IPv4 address; None means public."""
    number = int(address)
    for host_bits, network, kind in _ROWS[address.version]:
        if number >> host_bits == network:
            return kind
    return None


def forms(address: IpAddress) -> tuple[IpAddress, ...]:
    """List the address and every IPv4 address embedded in it; a mapped address is only the IPv4 address."""
    if isinstance(address, IPv4Address):
        return (address,)
    number = int(address)
    if number >> 32 == _MAPPED:
        return (IPv4Address(number & _LOW),)
    return (address, *map(IPv4Address, dict.fromkeys(_carried(number))))


def kinds(address: IpAddress) -> frozenset[Kind]:
    """Collect the kinds of the address and its embedded addresses; empty if it is public in every form."""
    return frozenset(kind for form in forms(address) if (kind := kind_of(form)) is not None)


@lru_cache(_REMEMBERED)
def is_public(host: str) -> bool:
    """Whether this literal address, with its embedded addresses, is public. Raises ValueError for a name."""
    address = ip_address(host)
    return not (isinstance(address, IPv6Address) and address.scope_id is not None) and not kinds(address)


def _carried(number: int) -> Iterator[int]:
    """Yield the IPv4 addresses embedded in an IPv6 one, as numbers."""
    if number >> 32 in (0, _TRANSLATED) and number > 1:  # RFC 4291 §2.5.5.1, RFC 2765
        yield number & _LOW
    if number >> 32 == _NAT64:  # RFC 6052
        yield number & _LOW
    if number >> 80 == _LOCAL_NAT64:  # RFC 8215; the length of its prefix is not known outside
        at_48 = (number >> 64 & 0xFFFF) << 16 | number >> 40 & 0xFFFF
        at_56 = (number >> 64 & 0xFF) << 24 | number >> 32 & 0xFFFFFF
        yield from (each for each in (at_48, at_56, number >> 24 & _LOW, number & _LOW) if each >> 24)
    if number >> 112 == _SIXTOFOUR:  # RFC 3056
        yield number >> 80 & _LOW
    if number >> 96 == _TEREDO:  # RFC 4380: the server's, and the client's with inverted bits
        yield number >> 64 & _LOW
        yield ~number & _LOW
    if number >> 32 & _LOW in _ISATAP:  # RFC 5214
        yield number & _LOW
