"""Signed releases of a stand-in for the node: a shell script that answers what the installer asks of it."""

import base64
import hashlib
import io
import json
import re
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "master/distribution/install.sh"
UNITS = ROOT / "node/systemd"

PROGRAM = """#!/bin/sh
# Answers as the node does, and notes that it was run.
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
echo "$(id -un) $*" >>/run/calls 2>/dev/null
case $1 in
    --version) echo "maybe-node $(cat "$here/VERSION")" ;;
    challenge) echo "challenge 7KQ2-M0XA of $NODE_DATA_DIR: curl -X POST http://MASTER:3005/nodes" ;;
    apply-upgrade)
        cd "$here/../.."
        [ -n "${2:-}" ] || exec rm /var/lib/maybe-node-upgrade/journal.json
        BEHAVIOUR
        ln -sfn "$(readlink current)" previous && ln -sfn "versions/$3" current
        ;;
esac
"""


@dataclass
class Release:
    """A version's files by name, as a master serves them: the manifest, its signature and the bundles."""

    version: str
    key: Ed25519PrivateKey
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    min_upgradable_from: str = "0.1.0"
    described: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    @property
    def bundle(self) -> str:
        """The name of its only bundle."""
        [name] = [name for name in self.files if name.endswith(".tar.gz")]
        return name

    def add(self, content: bytes, *, kind: str, python: str | None, machine: str, libc: str) -> None:
        """Add a bundle, and sign the manifest again."""
        tag = f"-cp{python.replace('.', '')}" if python else ""
        name = f"maybe-node-{self.version}-{kind}{tag}-{machine}-{libc}.tar.gz"
        self.files[name] = content
        described = {"kind": kind, "python": python, "machine": machine, "libc": libc, "size": len(content)}
        self.described.append({"name": name, **described, "sha256": hashlib.sha256(content).hexdigest()})
        self.sign()

    def sign(self) -> None:
        """Write the manifest and its signature."""
        manifest = {
            "format": 1,
            "product": "maybe-node",
            "version": self.version,
            "created_at": "2026-11-30T12:00:00Z",
            "min_upgradable_from": self.min_upgradable_from,
            "files": self.described,
        }
        raw = json.dumps(manifest, indent=1).encode()
        self.files["manifest.json"] = raw
        self.files["manifest.json.sig"] = signature(raw, self.key)

    def script(self, url: str, *, keys: tuple[Ed25519PrivateKey, ...] | None = None) -> str:
        """The installer as a master renders it."""
        values = {
            "BASE_URL": url,
            "VERSION": self.version,
            "MANIFEST_SHA256": hashlib.sha256(self.files["manifest.json"]).hexdigest(),
            "RELEASE_KEYS": " ".join(map(public, keys or (self.key,))),
        }
        return re.sub("@([A-Z_0-9]+)@", lambda found: values[found[1]], TEMPLATE.read_text())

    def exported(self) -> bytes:
        """The one file for hosts without a network."""
        return archive({**self.files, "install.sh": self.script("").encode()}, compressed=False)


def public(key: Ed25519PrivateKey) -> str:
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def signature(raw: bytes, key: Ed25519PrivateKey) -> bytes:
    id_ = hashlib.sha256(key.public_key().public_bytes_raw()).hexdigest()[:16]
    return f"{id_} {base64.b64encode(key.sign(raw)).decode()}\n".encode()


def stand_in(
    version: str,
    *,
    python: str = "3.11",
    behaviour: str = ":",
    extra: str = "",
    runtime: dict[str, bytes] | None = None,
) -> bytes:
    """A bundle of the stand-in. `behaviour` is a shell command that its apply-upgrade begins with."""
    files = {
        "VERSION": f"{version}\n".encode(),
        "PYTHON": f"{python}\n".encode(),
        "LICENSE": b"Apache-2.0\n",
        "maybe-node": PROGRAM.replace("BEHAVIOUR", behaviour).encode(),
        "lib/node/__init__.py": f'"""Version {version}."""\n{extra}'.encode(),
        "lib/node/app.py": b"SERVES = True\n",
        **(runtime or {}),
        **{f"systemd/{path.relative_to(UNITS)}": path.read_bytes() for path in UNITS.rglob("maybe-node*.*")},
    }
    sums = "".join(f"{hashlib.sha256(body).hexdigest()}  {name}\n" for name, body in sorted(files.items()))
    folder = f"maybe-node-{version}"
    return archive({f"{folder}/{name}": body for name, body in {**files, "FILES": sums.encode()}.items()})


def archive(files: dict[str, bytes], *, compressed: bool = True) -> bytes:
    """A tar archive of root's files, with the folders that they are in."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz" if compressed else "w", format=tarfile.GNU_FORMAT) as tar:
        for folder in sorted({str(above) for name in files for above in Path(name).parents} - {"."}):
            tar.addfile(described(folder, tarfile.DIRTYPE, 0o755))
        for name, body in sorted(files.items()):
            member = described(name, tarfile.REGTYPE, 0o755 if name.endswith(("/maybe-node", "/python3")) else 0o644)
            member.size = len(body)
            tar.addfile(member, io.BytesIO(body))
    return packed.getvalue()


def described(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.uname, member.gname = kind, mode, "root", "root"
    return member
