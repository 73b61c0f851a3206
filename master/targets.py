"""Which addresses the master may call when somebody else says where: none that is private."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from httpx import URL, InvalidURL

Address = IPv4Address | IPv6Address

MOST_LETTERS = 2_000
PLAIN_EMBEDDINGS = (IPv6Network("64:ff9b::/96"), IPv6Network("::/96"))
"""NAT64 (RFC 6052) and IPv4-compatible addresses end with an IPv4 address."""
LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")
"""RFC 8215: nobody outside knows where it leads."""
HOST_AGENT = ip_address("168.63.129.16")
"""Azure's, in public address space."""


def target(text: str) -> str:
    """The address as it came, when it can be called. Raises ValueError."""
    try:
        url = URL(text)
    except (InvalidURL, ValueError) as error:
        raise ValueError("is no address of the form https://host/path") from error
    if url.port is not None and not 1 <= url.port <= 65535:
        raise ValueError("has a port that there is not")
    if url.scheme not in ("https", "http") or not url.host or not text.isascii() or not text.isprintable():
        raise ValueError("is no address of the form https://host/path")
    if url.userinfo or url.fragment or " " in text:
        raise ValueError("has a login, a fragment or a blank, which an address to call has not")
    return text


def private_literal(text: str) -> bool:
    """Whether the host of this address is a private one, literally."""
    try:
        return not is_public(URL(text).host)
    except ValueError:
        return False


def is_public(host: str) -> bool:
    """Whether anybody on the internet may be meant by this literal address. Raises ValueError when it is none."""
    address = ip_address(host)
    if getattr(address, "scope_id", None) is not None:
        return False
    return all(one.is_global and not one.is_multicast and one != HOST_AGENT for one in meant(address)) and not (
        isinstance(address, IPv6Address) and address in LOCAL_NAT64
    )


def meant(address: Address) -> Iterator[Address]:
    """All addresses that a packet to this one may end at."""
    if isinstance(address, IPv4Address):
        yield address
    elif address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    else:
        yield address
        yield from filter(None, (address.sixtofour, *(address.teredo or ())))
        if any(address in network for network in PLAIN_EMBEDDINGS):
            yield IPv4Address(int(address) & 0xFFFFFFFF)
