"""Hosts as they stand in URLs and Host fields: read, and spelt in the one way in which they are compared. Pure."""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{0,5}))?")
LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
NAME = re.compile(rf"{LABEL}(?:\.{LABEL})*")
NAME_LETTERS = 253
"""RFC 1035 §2.3.4, without the last dot."""


@dataclass(frozen=True, slots=True)
class Authority:
    """A host in lower case, an address in its canonical spelling without brackets, and the port if one was given."""

    host: str
    port: int | None


def read_authority(text: str) -> Authority | None:
    """A Host field's value; None for anything else, such as one with a user name."""
    match = AUTHORITY.fullmatch(text)
    host = plain_host(match[1]) if match else None
    if match is None or host is None:
        return None
    return Authority(host, int(match[2]) if match[2] else None)


def plain_host(text: str) -> str | None:
    """The host as it is compared; None when it is neither an address nor a name."""
    name = text.lower().removesuffix(".")
    try:
        return str(ip_address(name.strip("[]")))
    except ValueError:
        return name if NAME.fullmatch(name) and len(name) <= NAME_LETTERS else None


def url_host(url: str) -> str:
    """The host of a URL as it is compared; empty when it has none that can be."""
    return plain_host(urlsplit(url).hostname or "") or ""
