"""Makes folders of bundles as a master serves them, quickly: the libraries are those of this environment.

A bundle has the node's real code and runs on this machine. Examples:

    release = make_release(tmp_path, "0.2.0")
    make_release(tmp_path, "0.2.1", replaced={"lib/node/app.py": b"raise SystemExit(3)"})
    change_byte(release.bundle)
"""

import hashlib
import platform
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import distribution
from pathlib import Path

from master.distribution.bundles.archive import write_archive
from master.distribution.bundles.contents import SOURCES, bundle_entries, is_needed
from master.distribution.bundles.entries import Entry, checksums
from master.distribution.bundles.release import bundle_file, write_release
from shared.release.manifest import MANIFEST, SIGNATURE, Manifest, bundle_folder, bundle_name, read_moment
from shared.release.signing import new_key, public_key, sign

KEY = new_key()
"""Signs the bundles of a run of tests."""
STRANGER = new_key()
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
MACHINE = platform.machine()
LIBC = "musl" if platform.libc_ver()[0] == "" else "gnu"
CREATED_AT = "2026-11-30T12:00:00Z"


@dataclass(frozen=True)
class Release:
    """A folder with the bundle of one version for this machine."""

    folder: Path
    manifest: Manifest
    key: bytes

    @property
    def bundle(self) -> Path:
        """The archive."""
        return self.folder / self.manifest.files[0].name

    @property
    def manifest_sha256(self) -> str:
        """The hash that the pasted line pins."""
        return hashlib.sha256((self.folder / MANIFEST).read_bytes()).hexdigest()

    @property
    def public_key(self) -> str:
        """The line of a file of trusted keys."""
        return public_key(self.key)


def make_release(
    folder: Path,
    version: str = "0.2.0",
    *,
    key: bytes = KEY,
    min_upgradable_from: str = "0.1.0",
    created_at: str = CREATED_AT,
    replaced: Mapping[str, bytes | None] | None = None,
) -> Release:
    """Make a signed folder. `replaced` maps paths in the bundle to other contents, or to None to leave them out.

    Files of the bundle that FILES lists are listed as they are after the replacement.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = bundle_name(version, "thin", python=PYTHON, machine=MACHINE, libc=LIBC)
    entries = changed(bundle_entries(version, PYTHON, libraries()), replaced or {})
    mtime = int(read_moment(created_at).timestamp())
    written = write_archive(folder / name, bundle_folder(version), entries, mtime=mtime, level=1)
    file = bundle_file(written, version, "thin", python=PYTHON, machine=MACHINE, libc=LIBC)
    made = write_release(folder, version, [file], key, created_at=created_at, min_upgradable_from=min_upgradable_from)
    return Release(folder, made, key)


def changed(entries: list[Entry], replaced: Mapping[str, bytes | None]) -> list[Entry]:
    """Replace contents, and write FILES for the result unless it is replaced as well."""
    executable = {entry.path for entry in entries if entry.is_executable}
    kept = [entry for entry in entries if entry.path not in replaced and entry.path != "FILES"]
    more = [Entry(path, content, path in executable) for path, content in replaced.items() if content is not None]
    ordered = sorted([*kept, *more], key=lambda entry: entry.path)
    if "FILES" not in replaced:
        ordered.append(Entry("FILES", checksums(ordered)))
    return sorted(ordered, key=lambda entry: entry.path)


@cache
def libraries() -> tuple[Entry, ...]:
    """Read the node's libraries out of this environment."""
    names = re.findall(r"^([a-z0-9][a-z0-9._-]*)==", (SOURCES / "requirements-node.txt").read_text(), re.MULTILINE)
    return tuple(
        Entry(path, Path(str(file.locate())).read_bytes())
        for name in names
        for file in distribution(name).files or ()
        if not (path := file.as_posix()).startswith("..") and is_needed(path)
    )


def sign_again(release: Release, raw: bytes, key: bytes) -> None:
    """Write another manifest, signed by `key`."""
    (release.folder / MANIFEST).write_bytes(raw)
    (release.folder / SIGNATURE).write_text(sign(raw, key))


def sign_by_stranger(release: Release) -> None:
    """Replace the signature by one of a key that nobody trusts."""
    sign_again(release, (release.folder / MANIFEST).read_bytes(), STRANGER)


def change_byte(path: Path, at: int | None = None) -> None:
    """Change one byte of a file, in its middle unless said otherwise."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2 if at is None else at] ^= 1
    path.write_bytes(content)


def truncate(path: Path, size: int | None = None) -> None:
    """Cut a file off, at its half unless said otherwise."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2 if size is None else size])
