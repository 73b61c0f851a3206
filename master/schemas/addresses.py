"""The addresses that are said of nodes and exits: which will do, and how each is spelt."""

from ipaddress import IPv6Network, ip_address
from typing import Annotated

from pydantic import AfterValidator, Field

from shared.special_addresses import Kind, forms, kinds

NO_NODES: frozenset[Kind] = frozenset({"this host", "link-local", "metadata", "multicast", "reserved"})
"""Kinds of addresses that no node can have. Clouds serve credentials at their metadata addresses. Private
addresses are allowed."""

PREFIX_LENGTHS = range(32, 113)
"""Lengths of a prefix for random addresses: the remaining bits must distinguish proxies and connections."""


def node_ip(text: str) -> str:
    """A literal unicast address in its canonical spelling. Raises ValueError."""
    address = ip_address(text)
    if getattr(address, "scope_id", None) is not None:
        raise ValueError("no address of a node: its scope means something on one host only")
    if wrong := sorted(kinds(address) & NO_NODES):
        raise ValueError(f"no address of a node: {' and '.join(wrong)}")
    return str(forms(address)[0])


def exit_address(text: str) -> str:
    """A literal unicast address in its canonical spelling. Raises ValueError."""
    address = ip_address(text)
    if getattr(address, "scope_id", None) is not None:
        raise ValueError("no address to leave by: its scope means something on one host only")
    if address.is_multicast or address.is_unspecified or address.is_link_local:
        raise ValueError("no address to leave by: link-local, multicast or unspecified")
    return str(address)


def ipv6_prefix(text: str) -> str:
    """An IPv6 network in its canonical spelling. Raises ValueError."""
    network = IPv6Network(text, strict=False)
    if network.prefixlen not in PREFIX_LENGTHS:
        raise ValueError(f"a prefix has /{PREFIX_LENGTHS.start} to /{PREFIX_LENGTHS.stop - 1}")
    if network.is_multicast or network.is_link_local:
        raise ValueError("no prefix to draw from: link-local or multicast")
    return str(network)


def plain_address(text: str) -> str:
    """A literal address in its canonical spelling, IPv4 as such. Raises ValueError."""
    address = ip_address(text)
    if getattr(address, "scope_id", None) is not None:
        raise ValueError("an address without a scope")
    return str(getattr(address, "ipv4_mapped", None) or address)


NodeIp = Annotated[str, Field(max_length=64), AfterValidator(node_ip)]
ExitAddress = Annotated[str, Field(max_length=64), AfterValidator(exit_address)]
Prefix = Annotated[str, Field(max_length=64, examples=["2001:db8:1::/64"]), AfterValidator(ipv6_prefix)]
CanonicalAddress = Annotated[str, AfterValidator(plain_address)]
