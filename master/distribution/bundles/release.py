"""Writes the manifest of the bundles in a folder, its signature, and the key that nodes believe."""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from master.distribution.bundles.archive import WrittenArchive
from master.errors import BundleError
from shared.durable_files import write_file
from shared.release.manifest import MANIFEST, SIGNATURE, BundleFile, BundleKind, Manifest, bundle_name
from shared.release.signing import public_key, sign

RELEASE_KEYS_NAME = "release-keys"
SOURCE_DATE = "SOURCE_DATE_EPOCH"
MIN_UPGRADABLE_FROM = "0.1.0"
"""The oldest version whose nodes may be upgraded to this one at once."""


def bundle_file(
    written: WrittenArchive, version: str, kind: BundleKind, *, python: str | None, machine: str, libc: str
) -> BundleFile:
    """Describe a bundle that was written."""
    name = bundle_name(version, kind, python=python, machine=machine, libc=libc)
    return BundleFile(
        name=name, kind=kind, python=python, machine=machine, libc=libc, size=written.size, sha256=written.sha256
    )


def write_release(
    folder: Path,
    version: str,
    files: Sequence[BundleFile],
    private_pem: bytes,
    *,
    created_at: str,
    min_upgradable_from: str,
) -> Manifest:
    """Write manifest.json, then its signature, and `release-keys`. Raises BundleError, BadKey."""
    ordered = tuple(sorted(files, key=lambda file: file.name))
    manifest = Manifest(version=version, created_at=created_at, min_upgradable_from=min_upgradable_from, files=ordered)
    raw = manifest.bytes()
    write_file(folder / RELEASE_KEYS_NAME, f"{public_key(private_pem)}\n".encode())
    # A folder between these two writes has no valid signature, so nobody takes anything from it.
    write_file(folder / MANIFEST, raw)
    write_file(folder / SIGNATURE, sign(raw, private_pem).encode())
    return manifest


def creation_moment(env: Mapping[str, str]) -> str:
    """Return SOURCE_DATE_EPOCH (reproducible-builds.org), else the present moment. Raises BundleError."""
    text = env.get(SOURCE_DATE) or str(int(time.time()))
    if not text.isdigit() or len(text) > 11:
        raise BundleError(f"{SOURCE_DATE} is not a number of seconds")
    return datetime.fromtimestamp(int(text), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
