"""Which parts of a proxy can be rotated, and its next exit. Pure."""

from collections.abc import Collection, Mapping, Sequence
from ipaddress import ip_address
from typing import Any

from master.domain.proxies.options import RotationPart
from shared.engine.limits import unportable
from shared.proxies import EngineName


def why_not_rotatable(
    what: Collection[RotationPart], *, engine: EngineName, has_login: bool, exit_: Mapping[str, Any]
) -> str | None:
    """Return why these parts of such a proxy cannot be rotated, for a person; None if they can."""
    if "port" in what and (reason := unportable(engine)):
        return reason
    if "credentials" in what and not has_login:
        return "it has no user name and password, only allow_ips"
    if "exit" in what and exit_.get("mode", "default") == "default":
        return "its exit is the default one: there is no other"
    return None


def next_exit(exit_: Mapping[str, Any], addresses: Sequence[str]) -> dict[str, Any] | None:
    """Return the exit after this one on a node with these addresses, or None when there is no other.

    Addresses of one family follow each other in ascending order. Sessions start over; random exits stay as they are.
    """
    match exit_.get("mode", "default"):
        case "address":
            other = next_address(exit_["address"], addresses)
            return None if other is None else {**exit_, "address": other}
        case "ipv6_session":
            return {**exit_, "generation": exit_.get("generation", 0) + 1}
        case "ipv6_random":
            return dict(exit_)
        case _:
            return None


def next_address(now: str, addresses: Sequence[str]) -> str | None:
    """Return the next higher address of the same family, or the lowest one after the highest."""
    version = ip_address(now).version
    usable = {ip_address(each) for each in addresses if "%" not in each and ip_address(each).version == version}
    others = sorted(usable - {ip_address(now)}, key=int)
    after = [each for each in others if int(each) > int(ip_address(now))]
    return str((after or others)[0]) if others else None
