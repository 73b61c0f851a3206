"""Whether the addresses by which proxies leave are this host's: the doctor's look at exits."""

import socket
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_network

from node.engine.builtin.exits import leave_by
from shared.findings import Finding, ok, problem
from shared.proxies import Exit

PATIENCE_S = 0.5


def comes_home(address: str) -> bool:
    """A datagram sent there is received here; where it is not, it goes no farther than the next router."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    level, hops = (
        (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS)
        if family == socket.AF_INET6
        else (socket.IPPROTO_IP, socket.IP_TTL)
    )
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as home, socket.socket(family, socket.SOCK_DGRAM) as sender:
            leave_by(home, address)
            home.settimeout(PATIENCE_S)
            sender.setsockopt(level, hops, 1)
            sender.sendto(b"", home.getsockname())
            home.recvfrom(1)
    except OSError:
        return False
    return True


def exit_findings(exits: Mapping[int, Exit], arrives: Callable[[str], bool] = comes_home) -> list[Finding]:
    """One for each address and each prefix; nothing where every proxy leaves as the system decides."""
    counts = Counter(place for exit_ in exits.values() for place in places(exit_))
    return [place_finding(place, count, home=arrives(sample(place))) for place, count in sorted(counts.items())]


def places(exit_: Exit) -> Iterator[str]:
    """The address or prefix that an exit needs, if it needs any."""
    if exit_.mode == "address" and exit_.address:
        yield exit_.address
    elif exit_.mode in ("ipv6_random", "ipv6_session") and exit_.prefix:
        yield exit_.prefix


def sample(place: str) -> str:
    """The address itself; of a prefix one that nobody configures by hand."""
    if "/" not in place:
        return place
    network = ip_network(place)
    return str(network[network.num_addresses * 5 // 7])


def place_finding(place: str, proxies: int, *, home: bool) -> Finding:
    """`home`: packets to it come to this host."""
    if home:
        return ok("exits", f"{place} comes home ({proxies} proxies leave by it)")
    text = f"answers to {place} do not come to this host: {proxies} proxies that leave by it reach nothing"
    if "/" in place:
        advice = f"ip -6 route add local {place} dev lo (and an NDP responder where a router asks for each address)"
    else:
        advice = f"ip address add {place} dev ..., or give these proxies another exit"
    return problem("exits", text, advice)
