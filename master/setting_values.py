"""The kinds of values that the settings of a master alone have: addresses, hosts, ports, files."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from master.schemas.hosts import plain_host, url_host
from master.schemas.token_format import fault_of
from shared.bus.addresses import addresses, ssl_context, without_login


def url(text: str, *schemes: str) -> str:
    """Read an address with one of these schemes and a host; errors never repeat its login."""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError(f"is not an address of the form {schemes[0]}://user:password@host:port/")
    return text


def broker_urls(text: str) -> tuple[SecretStr, ...]:
    """Read the addresses of the brokers of one cluster with commas between, which may have a login."""
    return addresses(parts(text)).urls


def broker_urls_for_nodes(text: str) -> tuple[str, ...]:
    """Read the addresses of the brokers of one cluster without their login: every node has its own."""
    return addresses(parts(text)).bare_urls


def management_addresses(text: str) -> tuple[str, ...]:
    """Read the addresses of the management API of each broker of a cluster. The login is that of AMQP_URL."""
    return tuple(without_login(web_url(part)).rstrip("/") for part in parts(text))


def parts(text: str) -> list[str]:
    """Return the parts of a list with commas between."""
    return [part.strip() for part in text.split(",")]


@dataclass(frozen=True, slots=True)
class AuthorityFile:
    """A file with the certificates of authorities, and its text when it was read."""

    path: Path
    pem: str = field(repr=False)

    def __str__(self) -> str:
        return str(self.path)


def authority_file(text: str) -> AuthorityFile:
    """Read a file with certificates of authorities in PEM."""
    path = absolute_path(text)
    try:
        pem = path.read_text("ascii")
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} has no certificates in PEM") from error
    ssl_context(pem)
    return AuthorityFile(path, pem)


def web_url(text: str) -> str:
    """Read the address of a web server."""
    return url(text, "http", "https")


def host_names(text: str) -> frozenset[str]:
    """Read host names with commas between, in the form in which they are compared with a Host field."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    found = {name: plain_host(name) for name in names}
    if wrong := [name for name, host in found.items() if host is None]:
        raise ValueError(f"{wrong[0]!r} is not a host name (without scheme, port and wildcard)")
    return frozenset(host for host in found.values() if host is not None)


def plain_web_url(text: str) -> str:
    """Read an http or https URL without login, query, fragment and trailing slash."""
    address = web_url(text)
    parts = urlsplit(address)
    is_plain = text.isascii() and text.isprintable() and " " not in text and not set(text) & set('?#@\\"<>')
    if not is_plain or not url_host(address) or parts.query:
        raise ValueError("is not an address of the form https://host/path, without login and query")
    return address.rstrip("/")


def port_ranges(text: str) -> tuple[range, ...]:
    """Read ports and ranges of ports with commas between, such as 3006,3100-3199."""
    found = [re.fullmatch(r"\s*([0-9]{1,5})(?:-([0-9]{1,5}))?\s*", part) for part in text.split(",")]
    ranges = [range(int(one[1]), int(one[2] or one[1]) + 1) for one in found if one]
    if len(ranges) < len(found) or not all(1 <= each.start < each.stop <= 65536 for each in ranges):
        raise ValueError(f"{text!r} is not a list of ports and ranges, such as 3006,3100-3199")
    return tuple(ranges)


def bare_address(address: str) -> str:
    """Return the address without login, query and fragment, which may hold secrets."""
    parts = urlsplit(address)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def token_text(text: str) -> SecretStr:
    """Read a token of the API. Errors never repeat it."""
    if fault := fault_of(text):
        raise ValueError(f"is no token: {fault}; `maybe-master token generate` makes one")
    return SecretStr(text)


def script_url(text: str) -> str:
    """Read where nodes download from: a URL that can stand in a shell script as it is."""
    address = plain_web_url(text)
    if not re.fullmatch(r"https?://[A-Za-z0-9._:\[\]-]+(/[A-Za-z0-9._/-]*)?", address):
        raise ValueError("is not an address of the form http://host:port, with letters, digits and ._-/ alone")
    return address


def absolute_path(text: str) -> Path:
    """Read the absolute path of a file or folder."""
    if not text.startswith("/") or "\x00" in text:
        raise ValueError(f"{text!r} is not an absolute path")
    return Path(text)
