"""The folder of bundles of a running master, which may change at any time.

A new version is served once its manifest verifies; until then the last one that did is. A bundle is served once its
size and hash are those of the manifest, so a file that is still being copied never is.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BufferedReader
from os import fstat, stat_result
from pathlib import Path

import structlog

from master.distribution.bundles.archive import file_sha256
from master.distribution.releases import NoManifest, Release, Untrusted, open_regular, read_release, version_folders
from master.errors import BundleError
from shared.release.manifest import MANIFEST, SIGNATURE, BundleFile

log = structlog.get_logger()

LOOK_EVERY_S = 1.0

Stamp = tuple[int, int, int, int]


@dataclass(frozen=True)
class FolderContents:
    """What was read last: the newest version, all versions by their names, and why the newest one is not trusted."""

    newest: Release | None = None
    releases: Mapping[str, Release] = field(default_factory=dict[str, Release])
    reason: str = ""


class BundleFolder:
    """Answers what there is to download now."""

    def __init__(self, path: Path, keys: Sequence[str]) -> None:
        """`keys` are those whose signatures count."""
        self.path, self.keys = path, tuple(keys)
        self._contents = FolderContents()
        self._stamps: object = None
        self._looked_at = -LOOK_EVERY_S
        self._turn = asyncio.Lock()
        self._verified: dict[Path, Stamp] = {}

    async def contents(self) -> FolderContents:
        """Return what the folder has, at most a second old."""
        if time.monotonic() - self._looked_at >= LOOK_EVERY_S:
            async with self._turn:
                if time.monotonic() - self._looked_at >= LOOK_EVERY_S:
                    await asyncio.to_thread(self.look)
        return self._contents

    async def open(self, release: Release, file: BundleFile) -> BufferedReader:
        """Open a bundle whose bytes are those of the manifest. Raises BundleError, with the reason for a person."""
        async with self._turn:
            return await asyncio.to_thread(self._open, release.folder / file.name, file)

    def look(self) -> None:
        """Read what has changed."""
        self._looked_at = time.monotonic()
        stamps = [self._stamps_of(folder) for folder in (self.path, *version_folders(self.path))]
        if stamps == self._stamps:
            return
        self._stamps = stamps
        before, self._contents = self._contents, self._read(self._contents)
        logged(before, self._contents, self.path)

    def _stamps_of(self, folder: Path) -> object:
        return folder, stamp_at(folder / MANIFEST), stamp_at(folder / SIGNATURE)

    def _read(self, before: FolderContents) -> FolderContents:
        others = {folder.name: self._other(folder) for folder in version_folders(self.path)}
        releases = {name: release for name, release in others.items() if release is not None}
        newest, reason = None, ""
        try:
            newest = read_release(self.path, self.keys)
        except NoManifest:
            pass
        except Untrusted as error:
            reason = str(error)
            newest = releases.get(before.newest.version, before.newest) if before.newest else None
        return FolderContents(newest, releases | ({newest.version: newest} if newest else {}), reason)

    def _other(self, folder: Path) -> Release | None:
        try:
            release = read_release(folder, self.keys)
        except BundleError as error:
            log.warning("bundles.version_refused", reason=str(error))
            return None
        return release if release.version == folder.name else None

    def _open(self, path: Path, file: BundleFile) -> BufferedReader:
        try:
            opened = open_regular(path)
        except OSError as error:
            raise BundleError(f"{file.name} cannot be read: {error.strerror}") from error
        try:
            self._verify(path, file, stamp_of(fstat(opened.fileno())))
        except BaseException:
            opened.close()
            raise
        return opened

    def _verify(self, path: Path, file: BundleFile, stamp: Stamp) -> None:
        """Hash a file once for each of its states. Raises BundleError."""
        if self._verified.get(path) == stamp:
            return
        if stamp[2] != file.size or file_sha256(path) != file.sha256:
            raise BundleError(f"{file.name} is not complete, or not the file that the manifest names")
        self._verified = {known: one for known, one in self._verified.items() if known.exists()} | {path: stamp}


def stamp_of(found: stat_result) -> Stamp:
    """Return what changes with a file's content."""
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def stamp_at(path: Path) -> Stamp | None:
    """Return the stamp of a file; None without one."""
    try:
        return stamp_of(path.stat(follow_symlinks=False))
    except OSError:
        return None


def logged(before: FolderContents, now: FolderContents, path: Path) -> None:
    """Log that a version is served from now on, or why none is."""
    serving = now.newest.version if now.newest else None
    if now.reason and now.reason != before.reason:
        log.warning("bundles.not_served", path=str(path), reason=now.reason, serving=serving)
    elif now.newest is not None and (before.newest is None or before.newest.sha256 != now.newest.sha256):
        log.info("bundles.served", version=serving, key=now.newest.key, files=len(now.newest.manifest.files))
