"""URLs: how a host stands in one, and those by which clients use a proxy."""

from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import quote

from master.schemas.base import Row


@lru_cache(4096)
def bracketed(host: str) -> str:
    """As a host stands in a URL (RFC 3986 §3.2.2), be it an address or a name."""
    try:
        return f"[{host}]" if ip_address(host).version == 6 else host
    except ValueError:
        return host


def urls(row: Row) -> list[str]:
    """By which a client may use the proxy: one a scheme that it speaks."""
    schemes = ("http", "socks5") if row["protocol"] == "mixed" else (row["protocol"],)
    host = bracketed(row["host"])
    login = f"{quote(row['username'], safe='')}:{quote(row['password'], safe='')}@" if row["username"] else ""
    return [f"{scheme}://{login}{host}:{row['port']}" for scheme in schemes]
