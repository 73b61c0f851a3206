"""Find out whether the API can be reached from the internet."""

import re
from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address
from pathlib import Path

from shared.doctor.findings import Finding, ok, some, warning
from shared.special_addresses import is_public

IPV4_ROUTES, IPV6_ADDRESSES = Path("/proc/net/fib_trie"), Path("/proc/net/if_inet6")
LOCAL = re.compile(r"\|-- (\S+)\n\s+/32 host LOCAL")
ADVICE = (
    "set API_HOST to a private address or 127.0.0.1, or close the port by a firewall; without an admin token, whoever "
    "reaches the API can do everything"
)


def exposed(api_host: str, own: Iterable[str]) -> list[str]:
    """Return the public addresses at which the API answers, from its address and all addresses of this host. Pure."""
    listening = ip_address(api_host)
    if not listening.is_unspecified:
        return [api_host] if is_public(api_host) else []
    heard = (4, 6) if listening.version == 6 else (4,)
    return [each for each in dict.fromkeys(own) if ip_address(each).version in heard and is_public(each)]


def exposure_finding(api_host: str, own: Iterable[str]) -> Finding:
    """Return the finding of the doctor."""
    if public := exposed(api_host, own):
        return warning("API_HOST", f"the API can be reached at the public address {some(public)}", ADVICE)
    return ok("API_HOST", f"{api_host}: the API answers at no public address of this host")


def own_addresses() -> list[str]:
    """Return all addresses of this host from Linux's proc(5); none on other systems."""
    found: list[str] = []
    if IPV4_ROUTES.exists():
        found += LOCAL.findall(IPV4_ROUTES.read_text())
    if IPV6_ADDRESSES.exists():
        found += [str(IPv6Address(bytes.fromhex(line[:32]))) for line in IPV6_ADDRESSES.read_text().splitlines()]
    return list(dict.fromkeys(found))
