"""Whether a node can provide an exit. Pure."""

from collections.abc import Mapping, Sequence
from ipaddress import IPv6Network
from typing import Any

RANDOM_MODES = ("ipv6_random", "ipv6_session")


def exit_obstacle(exit_: Mapping[str, Any], addresses: Sequence[str], prefixes: Sequence[str]) -> str | None:
    """Return why a node with these addresses and IPv6 prefixes cannot provide the exit, or None if it can."""
    mode = exit_.get("mode", "default")
    if mode == "address" and exit_["address"] not in addresses:
        return f"it has no address {exit_['address']}, only {', '.join(addresses) or 'unknown ones'}"
    if mode in RANDOM_MODES and not prefixes:
        return "no IPv6 prefix is declared for it (exits.ipv6_prefixes)"
    if mode in RANDOM_MODES and "prefix" in exit_ and not is_within(exit_["prefix"], prefixes):
        return f"{exit_['prefix']} is in none of its IPv6 prefixes {', '.join(prefixes)}"
    return None


def is_within(prefix: str, others: Sequence[str]) -> bool:
    """Return whether one of the other prefixes contains the whole prefix."""
    return any(IPv6Network(prefix).subnet_of(IPv6Network(other)) for other in others)
