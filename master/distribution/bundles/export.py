"""Writes one file that installs a node without a network: the script, the manifest, its signature and bundles."""

import os
import tarfile
from collections.abc import Sequence
from pathlib import Path

from master.distribution.bundles.archive import add, file_sha256
from master.distribution.bundles.entries import Entry
from master.distribution.bundles.verification import chosen_files
from master.distribution.install_script import InstallScript
from master.distribution.releases import Release
from master.errors import BundleError
from shared.release.manifest import MANIFEST, SIGNATURE

INSTALL = "install.sh"


def export(
    release: Release,
    script: InstallScript,
    out: Path,
    *,
    pythons: Sequence[str] = (),
    machines: Sequence[str] = (),
    libcs: Sequence[str] = (),
) -> list[str]:
    """Write the file, which appears when it is complete, and return the names of its bundles. Raises BundleError.

    It is a plain tar, since bundles are compressed: `tar -xf FILE install.sh && sudo sh install.sh --offline FILE`.
    """
    bundles = chosen_files(release, pythons, machines, libcs)
    if not bundles:
        raise BundleError(f"version {release.version} has no bundle for such hosts")
    for path in bundles:
        file = release.file(path.name)
        if file is None or file_sha256(path) != file.sha256:
            raise BundleError(f"{path} is not the file that the manifest names")
    entries = [
        Entry(INSTALL, script.offline_text(release)),
        Entry(MANIFEST, release.manifest_bytes),
        Entry(SIGNATURE, release.signatures),
        *(Entry(path.name, path) for path in bundles),
    ]
    aside = out.with_name(f".{out.name}.new")
    with aside.open("wb") as raw:
        with tarfile.open(fileobj=raw, mode="w", format=tarfile.GNU_FORMAT) as archive:
            for entry in entries:
                add(archive, entry.path, entry, release.manifest.mtime)
        raw.flush()
        os.fsync(raw.fileno())
    aside.replace(out)
    return [path.name for path in bundles]
