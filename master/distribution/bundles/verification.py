"""Verifies a folder of bundles as a person asks for it: the signature, and the size and hash of every file."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from master.distribution.bundles.archive import file_sha256
from master.distribution.releases import Release


def faults(release: Release) -> Iterator[str]:
    """List what is wrong with the files of a version."""
    for file in release.manifest.files:
        path = release.folder / file.name
        try:
            size = path.stat().st_size
            if size != file.size:
                yield f"{path} has {size} bytes instead of {file.size}"
            elif file_sha256(path) != file.sha256:
                yield f"{path} is not the file that the manifest names: its SHA-256 differs"
        except OSError as error:
            yield f"{path} cannot be read: {error.strerror}"


def chosen_files(release: Release, pythons: Sequence[str], machines: Sequence[str], libcs: Sequence[str]) -> list[Path]:
    """Return the paths of the bundles for these hosts; an empty part means all. A full bundle is for any Python."""
    return [
        release.folder / file.name
        for file in release.manifest.files
        if (not pythons or file.python is None or file.python in pythons)
        and (not machines or file.machine in machines)
        and (not libcs or file.libc in libcs)
    ]
