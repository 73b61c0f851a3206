"""What of a proxy can be rotated, and what its exit becomes. Pure."""

from collections.abc import Collection, Mapping, Sequence
from ipaddress import ip_address
from typing import Any

from master.domain.proxies.options import RotationPart
from shared.engine_limits import unportable
from shared.proxies import EngineName


def why_not_rotatable(
    what: Collection[RotationPart], *, engine: EngineName, username: str | None, exit_: Mapping[str, Any]
) -> str | None:
    """Why a proxy like this one cannot be rotated so, as a reason for a person."""
    if "port" in what and (reason := unportable(engine)):
        return reason
    if "credentials" in what and username is None:
        return "it has no user name and password, only allow_ips"
    if "exit" in what and exit_.get("mode", "default") == "default":
        return "its exit is the default one: there is no other"
    return None


def next_exit(exit_: Mapping[str, Any], addresses: Sequence[str]) -> dict[str, Any] | None:
    """The exit after this one on a node with these addresses; None when there is no other.

    Addresses of the same family take turns in their order. Sessions are forgotten; what is random is so anyway.
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
    """The address after this one, and after the last the first."""
    version = ip_address(now).version
    usable = {ip_address(each) for each in addresses if "%" not in each and ip_address(each).version == version}
    others = sorted(usable - {ip_address(now)}, key=int)
    after = [each for each in others if int(each) > int(ip_address(now))]
    return str((after or others)[0]) if others else None
