"""Small inputs of a build: wheels, a lock file, a runtime, and sources with a node of one line."""

import hashlib
import io
import stat
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from master.distribution.bundles.build import Build
from master.distribution.bundles.platforms import Platform
from tests.release.bundles import CREATED_AT, KEY

HOST = Platform("3.11", "x86_64", "gnu")
RUNTIME_NAME = "cpython-3.11.7+20260101-x86_64-unknown-linux-gnu-install_only.tar.gz"


def make_wheel(folder: Path, name: str = "demo-1.0-py3-none-any.whl", files: Mapping[str, bytes] | None = None) -> Path:
    """Write a wheel."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = "-".join(name.split("-")[:2])
    contents = files or {"demo/__init__.py": b"x = 1\n", "demo/tests/test_x.py": b"", f"{stem}.dist-info/RECORD": b""}
    with zipfile.ZipFile(folder / name, "w") as archive:
        for path, content in contents.items():
            archive.writestr(path, content)
    return folder / name


def add_member(wheel: Path, name: str, content: bytes = b"x", mode: int = stat.S_IFREG | 0o644) -> None:
    """Add a member as a hostile author would."""
    member = zipfile.ZipInfo("placeholder")
    member.filename, member.external_attr = name, mode << 16
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr(member, content)


def write_lock(path: Path, *wheels: Path) -> Path:
    """Pin the wheels."""
    lines: dict[str, list[str]] = {}
    for wheel in wheels:
        name, version = wheel.name.split("-")[:2]
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        lines.setdefault(f"{name}=={version}", []).append(f"    --hash=sha256:{digest}")
    path.write_text("# by hand\n" + "".join(" \\\n".join([pin, *hashes]) + "\n" for pin, hashes in lines.items()))
    return path


def make_sources(folder: Path, version: str = "one") -> Path:
    """Write sources with a node that prints a word."""
    for name, content in {
        "node/__init__.py": "",
        "node/__main__.py": f"def main() -> None:\n    print({version!r})\n",
        "node/systemd/maybe-node.service": "[Service]\n",
        "shared/__init__.py": "",
        "shared/__pycache__/x.cpython-311.pyc": "junk",
        "LICENSE": "Apache\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


def make_build(folder: Path, **given: Any) -> Build:
    """Return a build of one wheel for one platform."""
    wheel = make_wheel(folder / "wheels")
    values: dict[str, Any] = {
        "out": folder / "out",
        "version": "0.2.0",
        "min_upgradable_from": "0.1.0",
        "created_at": CREATED_AT,
        "private_pem": KEY,
        "platforms": [HOST],
        "wheels": wheel.parent,
        "lock": write_lock(folder / "lock.txt", wheel),
        "sources": make_sources(folder / "sources"),
    }
    return Build(**values | given)


def make_runtime(folder: Path, extra: list[tarfile.TarInfo] | None = None) -> Path:
    """Write a runtime whose Python is a shell script, with members of a hostile author."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / RUNTIME_NAME
    with tarfile.open(path, "w:gz") as archive:
        program = b"#!/bin/sh\necho stand-in\n"
        archive.addfile(member("python/bin/python3.11", mode=0o755, size=len(program)), io.BytesIO(program))
        archive.addfile(member("python/bin/python3", kind=tarfile.SYMTYPE, target="python3.11"))
        archive.addfile(member("python/bin/python", kind=tarfile.SYMTYPE, target="python3"))
        archive.addfile(member("python/share/man", kind=tarfile.SYMTYPE, target="doc"))
        archive.addfile(member("python/lib/python3.11/os.py", size=2), io.BytesIO(b"x\n"))
        archive.addfile(member("python/lib/python3.11/test/test_x.py", size=2), io.BytesIO(b"x\n"))
        for each in extra or []:
            archive.addfile(each, io.BytesIO(b"x" * each.size))
    return path


def member(
    name: str, *, kind: bytes = tarfile.REGTYPE, target: str = "", mode: int = 0o644, size: int = 0
) -> tarfile.TarInfo:
    """Return a header."""
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.mode, made.size = kind, target, mode, size
    return made
