"""Addresses whose connections anyone on the way can read. Pure."""

from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

ENCRYPTED = ("amqps", "https")
ADVICE = "encrypt it: `maybe-master tls init` makes certificates, and amqps:// with AMQP_CA_FILE uses them"


def in_clear_text(urls: Iterable[str]) -> list[str]:
    """Return scheme and host of each address that leads out of this host without TLS, passwords included."""
    parts = [urlsplit(url) for url in urls]
    exposed = [each for each in parts if each.scheme not in ENCRYPTED and not is_loopback(each.hostname or "")]
    return list(dict.fromkeys(f"{each.scheme}://{each.netloc.rpartition('@')[2]}" for each in exposed))


def is_loopback(host: str) -> bool:
    """Whether this is localhost, or a literal address of the loopback."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        name = host.lower().rstrip(".")
        return name == "localhost" or name.endswith(".localhost")
