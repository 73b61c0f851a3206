"""Puts a new version into a folder of bundles that a master may be serving.

The files of the newest version lie in the folder itself, those of others in versions/<version>. A bundle's name has
its version, and a manifest counts only with its signature, so every moment in between shows the old or the new version.
"""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from master.distribution.bundles.release import RELEASE_KEYS_NAME
from shared.release.manifest import MANIFEST, SIGNATURE, BadManifest, Manifest, read_manifest
from shared.release.versions import is_older

VERSIONS = "versions"
HEAD = (RELEASE_KEYS_NAME, MANIFEST, SIGNATURE)
"""In the order in which they are replaced."""


def publish(staged: Path, folder: Path) -> Path:
    """Move the version in `staged`, a folder of the same file system, to its place, which is returned."""
    manifest = read_manifest((staged / MANIFEST).read_bytes())
    present = manifest_in(folder)
    if present is not None and is_older(manifest.version, present.version):
        place = folder / VERSIONS / manifest.version
        replace_folder(staged, place)
        return place
    if present is not None and present.version != manifest.version:
        keep_aside(folder, present)
    for name in (*(file.name for file in manifest.files), *HEAD):
        (staged / name).replace(folder / name)
    for name in {file.name for file in present.files} - {file.name for file in manifest.files} if present else ():
        (folder / name).unlink(missing_ok=True)
    staged.rmdir()
    return folder


def manifest_in(folder: Path) -> Manifest | None:
    """Read the manifest of a folder; None without one that can be read."""
    with suppress(OSError, BadManifest):
        return read_manifest((folder / MANIFEST).read_bytes())
    return None


def keep_aside(folder: Path, manifest: Manifest) -> None:
    """Give the folder's present version, which stays, a second place under versions."""
    aside = folder / VERSIONS / f".new-{manifest.version}"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    for name in (*(file.name for file in manifest.files), *HEAD):
        if (folder / name).is_file():
            os.link(folder / name, aside / name)
    replace_folder(aside, folder / VERSIONS / manifest.version)


def replace_folder(new: Path, place: Path) -> None:
    """Move a folder to a place where another one may be."""
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(place, ignore_errors=True)
    new.replace(place)
