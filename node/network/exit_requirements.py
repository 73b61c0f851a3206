"""What an exit needs of the node's host, and how a host that lacks it is described. Pure."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import NamedTuple

from shared.proxies import EngineName, Exit, ProxyRecord

_SAMPLED = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Where in a prefix addresses are tried. A route to a part of it does not make the whole prefix usable."""
_SUGGESTED = 2


class Need(NamedTuple):
    """An address, or with a slash a prefix, from which an engine opens connections."""

    place: str
    engine: EngineName

    @property
    def is_prefix(self) -> bool:
        return "/" in self.place


def need_of(record: ProxyRecord) -> Need | None:
    """The address or prefix that the record's exit needs; None for `default`, which works on every host."""
    place = place_of(record.exit)
    return Need(place, record.engine) if place is not None else None


def place_of(exit_: Exit) -> str | None:
    """The address or prefix of an exit."""
    if exit_.mode == "address":
        return exit_.address or None
    return exit_.prefix if exit_.mode in ("ipv6_random", "ipv6_session") else None


def needs_of(records: Iterable[ProxyRecord | None]) -> set[Need]:
    """The distinct needs of these records."""
    return {need for record in records if record is not None and (need := need_of(record)) is not None}


def samples(place: str) -> list[IPv4Address | IPv6Address]:
    """The addresses to try: the address itself, or some of a prefix. Raises ValueError for what is neither."""
    if "/" not in place:
        return [ip_address(place)]
    network = ip_network(place)
    return list(dict.fromkeys(network[int(network.num_addresses * part)] for part in _SAMPLED))


class Lack(NamedTuple):
    """Why an exit does not work on a host, and what to do about it."""

    reason: str
    remedy: str

    @property
    def text(self) -> str:
        return f"{self.reason}: {self.remedy}"


def unrouted(need: Need, own: Sequence[str]) -> Lack:
    """Of a place whose packets do not come to this host.

    `own` are the host's addresses; those of the same family are suggested.
    """
    if need.is_prefix:
        remedy = f"add the route (ip -6 route add local {need.place} dev lo), or choose another prefix"
        return Lack(f"the exit prefix {need.place} is not routed to this node's host", remedy)
    alike = [each for each in own if (":" in each) == (":" in need.place)][:_SUGGESTED]
    choice = f"one of {', '.join(alike)}" if alike else "another exit"
    return Lack(
        f"the exit address {need.place} is not an address of this node's host",
        f"add it (ip address add {need.place} dev ...), or choose {choice}",
    )


def refused(need: Need, error: str) -> Lack:
    """Of a place from which this host lets no connection start."""
    kind = "prefix" if need.is_prefix else "address"
    reason = f"the exit {kind} {need.place} cannot be used on this node's host ({error})"
    return Lack(reason, "allow it there, or choose another exit")


def unlistened(listen: str) -> Lack:
    """Of the address on which the node listens, when the host has lost it."""
    return Lack(
        f"the node listens on {listen} (NODE_LISTEN), which is not an address of its host any more",
        f"add it (ip address add {listen} dev ...), or set NODE_LISTEN to another and restart the agent",
    )
