"""Facts about the host that a node reports at its enrolment."""

import platform
import socket
from ipaddress import ip_address


def host_name() -> str:
    """Return the host's own name for itself."""
    return platform.node()[:255]


def os_name() -> str:
    """Return the operating system's name for a person: "Debian GNU/Linux 12 (bookworm)"."""
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.platform())[:255]
    except OSError:
        return platform.platform()[:255]


def addresses() -> tuple[str, ...]:
    """Return the addresses at which others may reach the host, that of its default routes first."""
    found = [
        outward(family, target) for family, target in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
    ]
    try:
        infos = socket.getaddrinfo(platform.node(), None, proto=socket.IPPROTO_TCP)
        found += [str(info[4][0]) for info in infos]
    except OSError:
        pass  # a host whose own name does not resolve still has the addresses above
    real = [a for a in found if a and not (ip_address(a.split("%")[0]).is_loopback or "%" in a)]
    return tuple(dict.fromkeys(real))


def outward(family: socket.AddressFamily, target: str) -> str | None:
    """Return the source address of packets to `target`. Connecting a UDP socket sends nothing."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((target, 9))
            return str(probe.getsockname()[0])
    except OSError:
        return None
