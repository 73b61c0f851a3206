"""URLs of proxies."""

from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import quote

from master.schemas.base import Row


@lru_cache(4096)
def bracketed(host: str) -> str:
    """Return a name or address as it is written in a URL (RFC 3986 §3.2.2)."""
    try:
        return f"[{host}]" if ip_address(host).version == 6 else host
    except ValueError:
        return host


def urls(row: Row) -> list[str]:
    """Return the URLs by which clients use the proxy, one for each scheme that it speaks."""
    schemes = ("http", "socks5") if row["protocol"] == "mixed" else (row["protocol"],)
    host = bracketed(row["host"])
    login = f"{quote(row['username'], safe='')}:{quote(row['password'], safe='')}@" if row["username"] else ""
    return [f"{scheme}://{login}{host}:{row['port']}" for scheme in schemes]
