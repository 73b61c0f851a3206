"""The balancers of docker/balancer as real programs, in front of the masters of a test."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.launch.registry import ROOT
from tests.services.ports import HOST
from tests.services.programs import Process
from tests.tls.authority import Authority

API_NAME, LINKS_NAME = "api.example.com", "links.example.com"
MASTERS = ("127.0.0.1", "127.0.0.2")


@dataclass(frozen=True)
class Kind:
    """A program with its configuration. `certificates` is the folder that the configuration names."""

    program: str
    file: str
    certificates: str
    command: tuple[str, ...]


KINDS: Mapping[str, Kind] = {
    "haproxy": Kind("haproxy", "haproxy.cfg", "/etc/haproxy", ("haproxy", "-db", "-f", "{file}")),
    "nginx": Kind("nginx", "nginx.conf", "/etc/nginx", ("nginx", "-g", "daemon off;", "-c", "{file}")),
}


@dataclass(frozen=True)
class Addresses:
    """Ports of the masters, the same at both of their addresses, and of the balancer."""

    api: int
    links: int
    front_api: int
    front_links: int


def find(kind: Kind) -> str | None:
    """The program, also where only root has it on the path."""
    return shutil.which(kind.program, path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")


def configured(text: str, kind: Kind, folder: Path, at: Addresses) -> str:
    """The configuration as it is delivered, with the addresses, names and files of this test."""
    replaced = {
        "10.0.0.11": MASTERS[0],
        "10.0.0.12": MASTERS[1],
        ":3005": f":{at.api}",
        " 3005": f" {at.api}",
        ":3008": f":{at.links}",
        "10.0.0.10:443": f"{HOST}:{at.front_api}",
        "203.0.113.10:443": f"{HOST}:{at.front_links}",
        f"{kind.certificates}/": f"{folder}/",
        "/run/nginx.pid": f"{folder}/nginx.pid",
    }
    for old, new in replaced.items():
        text = text.replace(old, new)
    return text


def balancer(name: str, folder: Path, authority: Authority, at: Addresses) -> Process:
    """The balancer, not started yet. Everything that it writes is below the folder."""
    kind = KINDS[name]
    for short, host in (("api", API_NAME), ("links", LINKS_NAME)):
        chain, key = authority.issue(folder, host, name=short)
        if name == "haproxy":
            chain.write_text(chain.read_text() + key.read_text())
    file = folder / kind.file
    file.write_text(configured((ROOT / "docker/balancer" / kind.file).read_text(), kind, folder, at))
    command = [str(find(kind)), *(word.format(file=file) for word in kind.command[1:])]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder)}
    return Process(name, command, folder / f"{name}.log", environment)
