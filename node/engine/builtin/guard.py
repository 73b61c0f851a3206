"""Which addresses a proxy may connect to: none that is private to its node, unless the node's setting opens it."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

CLOSED = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",  # this host (RFC 6890); 0.0.0.0 connects to the loopback
            "127.0.0.0/8",
            "169.254.0.0/16",  # link-local, and in it every large cloud's metadata service
            "168.63.129.16/32",  # Azure's host agent
            "192.0.0.0/24",  # protocol assignments, and in it Oracle's old metadata service
            "10.0.0.0/8",  # RFC 1918: where brokers, databases and consoles are; a node does not know them all
            "172.16.0.0/12",
            "192.168.0.0/16",
            "100.64.0.0/10",  # RFC 6598, and in it Alibaba's metadata service
            "224.0.0.0/4",
            "255.255.255.255/32",
            "::/128",
            "::1/128",
            "fc00::/7",  # RFC 4193, and in it the clouds' metadata services over IPv6
            "fe80::/10",
            "fec0::/10",  # RFC 3879
            "ff00::/8",
            "64:ff9b:1::/48",  # RFC 8215: translation inside one network, where nobody outside knows to what
        ),
    )
)

_WELL_KNOWN_NAT64 = IPv6Network("64:ff9b::/96")
_COMPATIBLE = IPv6Network("::/96")
_REMEMBERED = 8192


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Raises ValueError for what is neither a network nor an address."""
    return tuple(ip_network(text, strict=False) for text in texts)


class Guard:
    """`opened` wins over everything; `own` are the host's addresses, which count as private to it."""

    __slots__ = ("_closed", "_known", "_opened")

    def __init__(self, opened: Iterable[Network] = (), own: Iterable[Network] = ()) -> None:
        self._opened = tuple(opened)
        self._closed = (*CLOSED, *own)
        self._known: dict[str, bool] = {}

    def permits(self, host: str) -> bool:
        """Whether this literal address may be dialled; asked after every name is resolved, whatever the name said."""
        known = self._known.get(host)
        if known is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            known = self._known[host] = self._judged(host)
        return known

    def _judged(self, host: str) -> bool:
        try:
            address = ip_address(host.partition("%")[0])
        except ValueError:
            return False
        return all(_inside(form, self._opened) or not _inside(form, self._closed) for form in forms(address))


def forms(address: Address) -> list[Address]:
    """The address, and every IPv4 address that packets to it may be sent on to; an IPv4-mapped one is IPv4 only."""
    if isinstance(address, IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    found: list[Address] = [address]
    if address.sixtofour is not None:
        found.append(address.sixtofour)
    if address.teredo is not None:
        found.extend(address.teredo)
    if address in _WELL_KNOWN_NAT64 or (address in _COMPATIBLE and int(address) > 1):
        found.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return found


def _inside(address: Address, places: Iterable[Network]) -> bool:
    return any(address in place for place in places)
