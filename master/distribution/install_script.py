"""install.sh as this master serves it, and the line that fetches, checks and runs it.

The text depends on the bundles and the settings alone, so all masters with the same ones serve the same bytes, and the
hash in a pasted line is that of whatever master answers.
"""

import hashlib
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from master.distribution.releases import Release
from master.schemas.hosts import read_authority

TEMPLATE = Path(__file__).parent / "install.sh"
SAFE = re.compile(r"[A-Za-z0-9+/=:._ \[\]-]*")
"""What a value may have inside the quotation marks of the script."""
DEFAULT_PORTS = {"http": 80, "https": 443}


class NoScript(ValueError):
    """The address that nodes would download from is not known."""


@dataclass(frozen=True, slots=True)
class RequestOrigin:
    """The scheme and the Host field of a request."""

    scheme: str
    host: str | None


NO_REQUEST = RequestOrigin("http", None)
"""For scripts that name DOWNLOAD_URL."""


def origin_of(scope: Any) -> RequestOrigin:
    """Return the origin of an ASGI request."""
    hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
    return RequestOrigin(scope["scheme"], hosts[0] if hosts else None)


@dataclass(frozen=True)
class InstallScript:
    """Makes the script. `download_url` is DOWNLOAD_URL; None: the address that a client asks."""

    download_url: str | None
    keys: tuple[str, ...]
    template: Path = TEMPLATE

    def text(self, release: Release, origin: RequestOrigin) -> bytes:
        """Write the script for nodes that ask by this origin. Raises NoScript."""
        return rendered(template_text(self.template), self.values(release, self.base_url(origin))).encode()

    def offline_text(self, release: Release) -> bytes:
        """Write the script that installs from a file."""
        return rendered(template_text(self.template), self.values(release, "")).encode()

    def base_url(self, origin: RequestOrigin) -> str:
        """Return where nodes download from. Raises NoScript."""
        return self.download_url or url_of(origin)

    def values(self, release: Release, base_url: str) -> Mapping[str, str]:
        """Return the values of the script."""
        return {
            "BASE_URL": base_url,
            "VERSION": release.version,
            "MANIFEST_SHA256": release.sha256,
            "RELEASE_KEYS": " ".join(self.keys),
        }


@cache
def template_text(path: Path) -> str:
    """Read a template once: the text stays the same while the program runs, whatever is installed meanwhile."""
    return path.read_text()


def rendered(template: str, values: Mapping[str, str]) -> str:
    """Put values into the lines NAME='@NAME@' of a template. Raises ValueError for one that could end the quotation."""
    text = template
    for name, value in values.items():
        place = f"{name}='@{name}@'"
        if text.count(place) != 1 or not SAFE.fullmatch(value):
            raise ValueError(f"{name} cannot be put into install.sh: {value!r}")
        text = text.replace(place, f"{name}='{value}'")
    return text


def url_of(origin: RequestOrigin) -> str:
    """Return the URL of an origin. Raises NoScript."""
    authority = read_authority(origin.host or "")
    if authority is None:
        raise NoScript("the request's Host is not a host and a port; set DOWNLOAD_URL on the master")
    name = f"[{authority.host}]" if ":" in authority.host else authority.host
    port = "" if authority.port in (None, DEFAULT_PORTS.get(origin.scheme)) else f":{authority.port}"
    return f"{origin.scheme}://{name}{port}"


@dataclass(frozen=True)
class InstallLine:
    """The line, and the hash that it pins."""

    text: str
    sha256: str


def install_line(
    base_url: str, script: bytes, *, is_user: bool = False, environment: Mapping[str, str] | None = None
) -> InstallLine:
    """Return the line to paste into a shell on a host. `environment` is what the installer is given.

    The installer gets it with its text, since arguments of programs can be read by every user of a host.

    The file comes from mktemp: at a fixed path, another user of the host could put a script of their own between the
    check and the start. Where root has no sudo, it is left out.
    """
    url, sha256 = shlex.quote(f"{base_url}/install.sh"), hashlib.sha256(script).hexdigest()
    shell = "sh" if is_user else "$(command -v sudo) sh"
    arguments = " --user" if is_user else ""
    start = f'{shell} "$f"{arguments}'
    if environment:
        exports = "export " + " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())
        given = f"{{ printf '%s\\n' {shlex.quote(exports)}; cat \"$f\"; }}"
        start = f"{given} | {shell} -s --{arguments}"
    fetch = f'{{ curl -fsSL {url} -o "$f" || wget -qO "$f" {url}; }}'
    text = f'f=$(mktemp) && {fetch} && echo "{sha256}  $f" | sha256sum -c - && {start}'
    return InstallLine(text, sha256)
