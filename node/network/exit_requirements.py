"""The address or prefix that an exit required on the node's host, and the texts about a host that lacks it. Pure."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import NamedTuple

from shared.proxies import EngineName, Exit, ProxyRecord

_SAMPLED = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Positions in a prefix at which addresses are tried: a route may cover only a part of the prefix."""
_SUGGESTED = 2


class ExitRequirement(NamedTuple):
    """An address, or a prefix if `source` has a slash, from which an engine opens connections."""

    source: str
    engine: EngineName

    @property
    def is_prefix(self) -> bool:
        return "/" in self.source


def requirement_of(record: ProxyRecord) -> ExitRequirement | None:
    """Return what the record's exit required; None for mode `default`, which works on every host."""
    source = source_of(record.exit)
    return ExitRequirement(source, record.engine) if source is not None else None


def source_of(exit_: Exit) -> str | None:
    """Return the address or prefix of an exit; None for mode `default`."""
    if exit_.mode == "address":
        return exit_.address or None
    return exit_.prefix if exit_.mode in ("ipv6_random", "ipv6_session") else None


def requirements_of(records: Iterable[ProxyRecord | None]) -> set[ExitRequirement]:
    """Return the distinct requirements of these records."""
    return {found for record in records if record is not None and (found := requirement_of(record)) is not None}


def samples(source: str) -> list[IPv4Address | IPv6Address]:
    """Return the addresses to try: the address itself, or some of a prefix. Raises ValueError for other text."""
    if "/" not in source:
        return [ip_address(source)]
    network = ip_network(source)
    return list(dict.fromkeys(network[int(network.num_addresses * part)] for part in _SAMPLED))


class ExitProblem(NamedTuple):
    """Why an exit does not work on a host, and what to do about it."""

    reason: str
    remedy: str

    @property
    def text(self) -> str:
        return f"{self.reason}: {self.remedy}"


def not_routed(requirement: ExitRequirement, own: Sequence[str]) -> ExitProblem:
    """Describe a source whose packets do not reach this host.

    `own` are the host's addresses; the text suggests those of the same family.
    """
    if requirement.is_prefix:
        remedy = f"add the route (ip -6 route add local {requirement.source} dev lo), or choose another prefix"
        return ExitProblem(f"the exit prefix {requirement.source} is not routed to this node's host", remedy)
    alike = [each for each in own if (":" in each) == (":" in requirement.source)][:_SUGGESTED]
    choice = f"one of {', '.join(alike)}" if alike else "another exit"
    return ExitProblem(
        f"the exit address {requirement.source} is not an address of this node's host",
        f"add it (ip address add {requirement.source} dev ...), or choose {choice}",
    )


def not_bindable(requirement: ExitRequirement, error: str) -> ExitProblem:
    """Describe a source that the host does not let sockets bind to."""
    kind = "prefix" if requirement.is_prefix else "address"
    reason = f"the exit {kind} {requirement.source} cannot be used on this node's host ({error})"
    return ExitProblem(reason, "allow it there, or choose another exit")


def listen_address_lost(listen: str) -> ExitProblem:
    """Describe the loss of the address on which the node listens."""
    return ExitProblem(
        f"the node listens on {listen} (NODE_LISTEN), which is no longer an address of its host",
        f"add it (ip address add {listen} dev ...), or set NODE_LISTEN to another one and restart the agent",
    )
