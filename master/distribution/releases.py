"""Reads the versions in a folder of bundles, and believes only what a trusted key signed."""

import hashlib
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from master.distribution.bundles.publication import VERSIONS
from master.errors import BadConfiguration, BundleError
from shared.release.keys import RELEASE_KEYS
from shared.release.manifest import (
    MANIFEST,
    MANIFEST_LIMIT,
    SIGNATURE,
    BadManifest,
    BundleFile,
    Manifest,
    read_manifest,
)
from shared.release.signing import KEYS_LIMIT, SIGNATURES_LIMIT, BadKey, BadSignature, read_public_keys, verify
from shared.release.versions import BadVersion, version_order

MOST_VERSIONS = 64


class NoManifest(BundleError):
    """The folder has no manifest."""


class Untrusted(BundleError):
    """The manifest is unreadable, or no trusted key signed it."""


@dataclass(frozen=True)
class Release:
    """A version with a valid signature. `manifest_bytes` are what was signed; `key` is the id of the key."""

    folder: Path
    manifest: Manifest
    manifest_bytes: bytes
    signatures: bytes
    key: str

    @property
    def version(self) -> str:
        """The version."""
        return self.manifest.version

    @property
    def sha256(self) -> str:
        """The hash of the manifest, which the pasted line pins through the script."""
        return hashlib.sha256(self.manifest_bytes).hexdigest()

    def file(self, name: str) -> BundleFile | None:
        """Return the file of this name."""
        return next((file for file in self.manifest.files if file.name == name), None)


def trusted_keys(path: Path | None) -> tuple[str, ...]:
    """Return the keys that are trusted: those of the code and those of RELEASE_KEYS_FILE. Raises BadConfiguration."""
    if path is None:
        return RELEASE_KEYS
    try:
        text = read_bounded(path, KEYS_LIMIT).decode("ascii")
        return tuple(dict.fromkeys((*RELEASE_KEYS, *read_public_keys(text))))
    except (OSError, BundleError, BadKey, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise BadConfiguration("RELEASE_KEYS_FILE", f"{path}: {reason}") from error


def read_release(folder: Path, keys: Sequence[str]) -> Release:
    """Read the version in a folder. Raises NoManifest, Untrusted."""
    try:
        raw = read_bounded(folder / MANIFEST, MANIFEST_LIMIT)
    except FileNotFoundError as error:
        raise NoManifest(f"{folder} has no {MANIFEST}") from error
    except (OSError, BundleError) as error:
        raise Untrusted(f"{folder / MANIFEST} cannot be read: {error}") from error
    try:
        signatures = read_bounded(folder / SIGNATURE, SIGNATURES_LIMIT)
        key = verify(raw, signatures.decode("ascii"), keys)
        return Release(folder, read_manifest(raw), raw, signatures, key)
    except FileNotFoundError as error:
        raise Untrusted(f"{folder / MANIFEST} is not signed: there is no {SIGNATURE}") from error
    except (OSError, BundleError, BadSignature, BadManifest, UnicodeDecodeError) as error:
        raise Untrusted(f"{folder / MANIFEST} is not trusted: {error}") from error


def version_folders(folder: Path) -> list[Path]:
    """List the folders of other versions, the newest first."""
    try:
        found = [path for path in (folder / VERSIONS).iterdir() if is_version(path.name)]
    except OSError:
        return []
    return sorted(found, key=lambda path: version_order(path.name), reverse=True)[:MOST_VERSIONS]


def is_version(name: str) -> bool:
    """Whether a folder's name is a version."""
    try:
        version_order(name)
    except BadVersion:
        return False
    return True


def read_bounded(path: Path, limit: int) -> bytes:
    """Read a regular file of at most `limit` bytes. Raises OSError, BundleError."""
    with open_regular(path) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise BundleError(f"{path} has more than {limit} bytes")
    return content


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file that is no link; a FIFO in its place never blocks. Raises OSError, BundleError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    file = os.fdopen(descriptor, "rb")
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        file.close()
        raise BundleError(f"{path} is not a regular file")
    return file
