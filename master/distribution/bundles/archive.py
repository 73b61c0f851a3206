"""Writes an archive that depends on its entries and its moment alone: the same input gives the same bytes."""

import gzip
import hashlib
import io
import os
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, cast

from master.distribution.bundles.entries import CHUNK, Entry

LEVEL = 9


@dataclass(frozen=True)
class WrittenArchive:
    """A file that was written."""

    path: Path
    size: int
    sha256: str


def write_archive(
    path: Path, folder: str, entries: Sequence[Entry], *, mtime: int, level: int = LEVEL
) -> WrittenArchive:
    """Write `entries`, sorted by path, under one folder into a .tar.gz, which appears when it is complete.

    All belongs to root. GNU's format: unlike pax headers, busybox reads its long names.
    """
    aside = path.with_name(f".{path.name}.new")
    with aside.open("wb") as raw:
        with (
            gzip.GzipFile(filename="", mode="wb", compresslevel=level, fileobj=raw, mtime=mtime) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive,
        ):
            for name in [folder, *(f"{folder}/{name}" for name in folders_of(entries))]:
                archive.addfile(member(name, tarfile.DIRTYPE, 0o755, mtime))
            for entry in entries:
                add(archive, f"{folder}/{entry.path}", entry, mtime)
        raw.flush()
        os.fsync(raw.fileno())
    written = aside.replace(path)
    return WrittenArchive(written, path.stat().st_size, file_sha256(written))


def add(archive: tarfile.TarFile, name: str, entry: Entry, mtime: int) -> None:
    """Add a file or a link."""
    if entry.target is not None:
        found = member(name, tarfile.SYMTYPE, 0o777, mtime)
        found.linkname = entry.target
        archive.addfile(found)
        return
    found = member(name, tarfile.REGTYPE, 0o755 if entry.is_executable else 0o644, mtime)
    found.size = entry.size
    content = io.BytesIO(entry.content) if isinstance(entry.content, bytes) else entry.content.open("rb")
    with content:
        archive.addfile(found, cast("IO[bytes]", content))


def member(name: str, kind: bytes, mode: int, mtime: int) -> tarfile.TarInfo:
    """Return a header that has nothing of this machine."""
    made = tarfile.TarInfo(name)
    made.type, made.mode, made.mtime = kind, mode, mtime
    made.uname = made.gname = "root"
    return made


def folders_of(entries: Iterable[Entry]) -> list[str]:
    """List the folders of all entries, each after the one that it is in."""
    return sorted({str(above) for entry in entries for above in PurePosixPath(entry.path).parents} - {"."})


def file_sha256(path: Path) -> str:
    """Hash a file."""
    digest = hashlib.sha256()
    for chunk in file_chunks(path):
        digest.update(chunk)
    return digest.hexdigest()


def file_chunks(path: Path) -> Iterator[bytes]:
    """Read a file piece by piece."""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk
