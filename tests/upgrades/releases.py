"""Releases of stand-ins: signed manifests and bundles, and a server for them with faults of its own."""

import hashlib
import http.server
import io
import os
import platform
import signal
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from shared.release.manifest import BundleFile, Manifest, bundle_folder, bundle_name
from shared.release.signing import new_key, public_key, sign
from tests.upgrades.installation import NEW, OLD, Installation, write_version

KEY = new_key()
PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
LIBC = "gnu" if platform.libc_ver()[0] == "glibc" else "musl"


@dataclass
class Release:
    """A version in a folder that a server serves."""

    folder: Path
    version: str = NEW
    fault: str = ""
    least: str = OLD
    key: bytes = KEY

    def write(self, *further: tarfile.TarInfo, change: Callable[[bytes], bytes] = lambda body: body) -> "Release":
        """Write bundle, manifest and signature. `further` are hostile members, `change` damages the served bundle."""
        body = bundle(self.version, self.fault, self.folder.parent / "build", further)
        name = bundle_name(self.version, "thin", python=PYTHON, machine=platform.machine(), libc=LIBC)
        file = BundleFile(
            name=name,
            kind="thin",
            python=PYTHON,
            machine=platform.machine(),
            libc=LIBC,
            size=len(body),
            sha256=hashlib.sha256(body).hexdigest(),
        )
        manifest = Manifest(
            version=self.version, created_at="2026-11-30T12:00:00Z", min_upgradable_from=self.least, files=(file,)
        )
        self.folder.mkdir(exist_ok=True)
        (self.folder / name).write_bytes(change(body))
        (self.folder / "manifest.json").write_bytes(manifest.bytes())
        (self.folder / "manifest.json.sig").write_text(sign(manifest.bytes(), self.key))
        return self

    def order(self, url: str, id_: int = 1, **members: Any) -> dict[str, Any]:
        """Return the members of a request for this release."""
        raw = (self.folder / "manifest.json").read_bytes()
        sha256 = hashlib.sha256(raw).hexdigest()
        return {"id": id_, "version": self.version, "url": f"{url}/manifest.json", "sha256": sha256, **members}


def bundle(version: str, fault: str, build: Path, further: tuple[tarfile.TarInfo, ...]) -> bytes:
    """Make a bundle of a stand-in."""
    top, target = bundle_folder(version), io.BytesIO()
    folder = build / f"{top}-{fault}-{time.monotonic_ns()}"
    write_version(folder, version, fault)
    with tarfile.open(fileobj=target, mode="w:gz") as archive:
        archive.add(folder, top)
        for member in further:
            archive.addfile(member, io.BytesIO(bytes(member.size)))
    return target.getvalue()


def trust(installation: Installation, key: bytes = KEY) -> None:
    """Have the host trust this key alone."""
    installation.layout.keys_file.write_text(f"# release keys\n{public_key(key)}\n")


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves files; the first folder of a path may name a fault."""

    def do_GET(self) -> None:
        fault, _, rest = self.path[1:].partition("/")
        match fault:
            case "silent" if rest.endswith(".gz"):
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.flush()
                time.sleep(30)
            case "dripping" if rest.endswith(".gz"):
                self.send_response(200)
                self.end_headers()
                while True:
                    self.wfile.write(b"x")
                    self.wfile.flush()
                    time.sleep(0.05)
            case "endless":
                self.send_response(200)
                self.end_headers()
                while True:
                    self.wfile.write(bytes(65_536))
            case "to-file":
                self.send_response(302)
                self.send_header("Location", "file:///etc/hostname")
                self.end_headers()
            case "moved":
                self.send_response(302)
                self.send_header("Location", f"/{rest}")
                self.end_headers()
            case _:
                self.path = f"/{rest}" if fault in ("silent", "dripping") else self.path
                super().do_GET()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the name of the base class)
        """Say nothing."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder from a process of its own; yield its address."""
    folder.mkdir(exist_ok=True)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    pid = os.fork()
    if pid == 0:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)  # clients that leave
        server.serve_forever()
    server.socket.close()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
