"""Keeps foreign web pages from using the API through an operator's browser, by Host and Origin. Pure.

A page of an attacker can make a browser call this API under a name that the attacker controls (DNS rebinding), or
across origins without asking first. Neither is possible when the Host is one that nobody outside can control, when an
Origin is the API's own, and when a body has a type that a browser sends only after asking (Fetch, "CORS-safelisted").
"""

from collections.abc import Sequence
from ipaddress import ip_address

from master.schemas.hosts import Authority, read_authority

PRIVATE_ZONES = (".internal", ".local", ".lan", ".home.arpa", ".svc.cluster.local")
DEFAULT_PORTS = {"http": 80, "https": 443}

Headers = Sequence[tuple[bytes, bytes]]


def is_trusted(host: str, own: frozenset[str]) -> bool:
    """Whether nobody outside can make this host name lead here; `own` are the operator's names."""
    if host == "localhost" or "." not in host or host in own or host.endswith(PRIVATE_ZONES):
        return True
    try:
        return bool(ip_address(host))
    except ValueError:
        return False


def read_origin(text: str) -> Authority | None:
    """Read the host and port of an Origin; None for "null" and for anything malformed."""
    scheme, separator, place = text.partition("://")
    origin = read_authority(place) if separator and scheme in DEFAULT_PORTS else None
    if origin is None or origin.port is not None:
        return origin
    return Authority(origin.host, DEFAULT_PORTS[scheme])


def is_same(origin: Authority, host: Authority) -> bool:
    """Whether a page of this origin is the API's own. Proxies in front may leave the port out of Host."""
    return origin.host == host.host and host.port in (None, origin.port)


def values(headers: Headers, name: bytes) -> list[str]:
    """Return all values of a header field."""
    return [value.decode("latin-1") for key, value in headers if key.lower() == name]


def media_type(content_type: str) -> str:
    """Return the media type in lower case, without parameters."""
    return content_type.partition(";")[0].strip().lower()
