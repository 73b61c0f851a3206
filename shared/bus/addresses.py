"""Addresses of a broker, or of several brokers of one cluster, and the authorities that certify them."""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

MOST_ADDRESSES = 8
LONGEST_URL = 1_000
LONGEST_CA = 16_384
"""Characters of the PEM text, which has room for about ten certificates of elliptic curves."""
PORTS = {"amqp": 5672, "amqps": 5671}
SYSTEM = "system"
"""The value of a `ca` that stands for the trust store of the host."""

ItemT = TypeVar("ItemT")


@dataclass(frozen=True, slots=True)
class BrokerAddresses:
    """URLs in order of preference, which share scheme, login and virtual host.

    `ca` is the PEM text of the trusted certificates, "system", or None with amqp:// alone; amqps:// without it is
    checked by the trust store of the host. Raises ValueError, without a login in its text.
    """

    urls: tuple[SecretStr, ...]
    ca: str | None = None

    def __post_init__(self) -> None:
        texts = [url.get_secret_value() for url in self.urls]
        if not 1 <= len(texts) <= MOST_ADDRESSES:
            raise ValueError(f"one to {MOST_ADDRESSES} addresses of a broker are needed, not {len(texts)}")
        for text in texts:
            check_url(text)
        if len({(urlsplit(text).scheme, *login(text), vhost(text)) for text in texts}) > 1:
            raise ValueError("the addresses of one cluster differ in scheme, login or virtual host")
        if urlsplit(texts[0]).scheme == "amqps":
            if self.ca is None:
                object.__setattr__(self, "ca", SYSTEM)
            elif self.ca != SYSTEM:
                ssl_context(self.ca)
        elif self.ca is not None:
            raise ValueError("certificates are checked on amqps:// alone, but the address has amqp://")

    @property
    def login(self) -> tuple[str, str]:
        """User name and password."""
        return login(self.urls[0].get_secret_value())

    @property
    def vhost(self) -> str:
        """The virtual host."""
        return vhost(self.urls[0].get_secret_value())

    @property
    def bare_urls(self) -> tuple[str, ...]:
        """The URLs without login."""
        return tuple(without_login(url.get_secret_value()) for url in self.urls)

    @property
    def hosts(self) -> tuple[str, ...]:
        """The host of each URL."""
        return tuple(urlsplit(url.get_secret_value()).hostname or "" for url in self.urls)


@lru_cache(8)
def ssl_context(ca: str) -> ssl.SSLContext:
    """Return a context that verifies chain, dates and host name by these authorities. Raises ValueError.

    Contexts are shared, since reading the trust store of a host takes tens of milliseconds and megabytes.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca == SYSTEM:
        context.load_default_certs()
        return context
    if len(ca) > LONGEST_CA or not ca.isascii():
        raise ValueError(f"the certificates are longer than {LONGEST_CA} characters, or no PEM text")
    try:
        context.load_verify_locations(cadata=ca)
    except (ssl.SSLError, ValueError) as error:
        raise ValueError("the certificates of the authority cannot be read: they must be PEM texts") from error
    return context


def check_url(text: str) -> None:
    """Raise ValueError, without the login, unless this is an address of a broker.

    A query is refused: the driver reads options from it, such as no_verify_ssl, which turns the check of the
    certificate off, and paths of files that exist on one host only.
    """
    try:
        parts = urlsplit(text)
        usable = parts.scheme in PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or len(text) > LONGEST_URL or not text.isprintable() or " " in text:
        raise ValueError("is not an address of the form amqp://user:password@host:port/ or amqps://...")
    if "?" in text or "#" in text:
        raise ValueError(
            "has options after the ? or #, which are not taken; set AMQP_CA_FILE to trust a certificate authority"
        )


def login(url: str) -> tuple[str, str]:
    """Return (user name, password) of an address; guest where there is none, as AMQP clients do."""
    parts = urlsplit(url)
    return unquote(parts.username or "guest"), unquote(parts.password or "guest")


def vhost(url: str) -> str:
    """Return the virtual host of an address: "/" if its path is empty or just a slash."""
    return unquote(urlsplit(url).path[1:]) or "/"


def without_login(url: str) -> str:
    """Return the address without user name and password."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def endpoint(url: str) -> str:
    """Return host:port of an address."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{host}:{parts.port or PORTS[parts.scheme]}"


def addresses(urls: Sequence[str], ca: str | None = None) -> BrokerAddresses:
    """Build addresses from plain texts. Raises ValueError."""
    return BrokerAddresses(tuple(map(SecretStr, urls)), ca)


def spread(urls: Sequence[ItemT], number: int) -> tuple[ItemT, ...]:
    """Return the addresses in the order of preference of the program with this number.

    Consecutive numbers share the brokers evenly, and those of one broker share the others evenly when it is away: the
    number's digits in the factorial number system choose the first, the second and each next one of those left.
    """
    left, order = list(urls), list[ItemT]()
    while left:
        number, place = divmod(number, len(left))
        order.append(left.pop(place))
    return tuple(order)
