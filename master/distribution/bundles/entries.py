"""The files of a bundle before they are written: plain values, and the rules for their paths."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath

from master.errors import BundleError

FILE_LIMIT = 256 << 20
"""Bytes of one file in a wheel or in a runtime."""
TOTAL_LIMIT = 1 << 30
CHUNK = 1 << 20


@dataclass(frozen=True)
class Entry:
    """A file, whose content is here or in another file; or a link to `target`, relative to its own folder."""

    path: str
    content: bytes | Path = b""
    is_executable: bool = False
    target: str | None = None

    def chunks(self) -> Iterator[bytes]:
        """Read the content."""
        if isinstance(self.content, bytes):
            yield self.content
        else:
            with self.content.open("rb") as file:
                while chunk := file.read(CHUNK):
                    yield chunk

    @property
    def size(self) -> int:
        """Bytes of the content."""
        return len(self.content) if isinstance(self.content, bytes) else self.content.stat().st_size

    def sha256(self) -> str:
        """Hash the content."""
        digest = hashlib.sha256()
        for chunk in self.chunks():
            digest.update(chunk)
        return digest.hexdigest()


def safe_path(text: str, *, source: str) -> str:
    """Return a relative path that stays below its folder. Raises BundleError, which names the `source`."""
    parts = text.split("/")
    if text.startswith("/") or "\\" in text or not text or any(part in ("", ".", "..") for part in parts):
        raise BundleError(f"{source}: {text[:200]!r} is not a path below its folder")
    # A newline would forge a line of FILES.
    if not re.fullmatch(r"[ -~]+", text) or len(text) > 240 or any(len(part) > 100 for part in parts):
        raise BundleError(f"{source}: {text[:200]!r} is too long, or has characters other than printable ASCII")
    return text


def safe_target(path: str, target: str, *, source: str) -> str:
    """Return the target of a link that stays below the folder of all files. Raises BundleError."""
    depth = len(PurePosixPath(path).parent.parts)
    parts = target.split("/")
    is_bad = target.startswith("/") or "\\" in target or not re.fullmatch(r"[ -~]{1,200}", target)
    for part in parts:
        depth += -1 if part == ".." else 0 if part in ("", ".") else 1
        is_bad = is_bad or depth < 0
    if is_bad:
        raise BundleError(f"{source}: the link {path!r} leads out of its folder, to {target[:200]!r}")
    return target


def without_doubles(entries: Iterable[Entry], *, source: str) -> list[Entry]:
    """Sort the entries by path. Raises BundleError when two have one path, or one is a folder of another."""
    ordered = sorted(entries, key=lambda entry: entry.path)
    paths = [entry.path for entry in ordered]
    known = set(paths)
    if len(known) < len(paths):
        double = next(one for one, other in pairwise(paths) if one == other)
        raise BundleError(f"{source}: two files are called {double}")
    for path in paths:
        if blocked := next((str(above) for above in PurePosixPath(path).parents if str(above) in known), None):
            raise BundleError(f"{source}: {blocked} is a file and the folder of {path}")
    return ordered


def resolved(entry: Entry) -> str:
    """Return the path that a link leads to."""
    parts: list[str] = list(PurePosixPath(entry.path).parent.parts)
    for part in (entry.target or "").split("/"):
        if part == "..":
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def checksums(entries: Iterable[Entry]) -> bytes:
    """Write the file FILES in the form that sha256sum -c reads: a link has the hash of the file that it leads to."""
    by_path = {entry.path: entry for entry in entries}
    hashes = {path: entry.sha256() for path, entry in by_path.items() if entry.target is None}
    lines = (
        f"{hashes[resolved(entry)] if entry.target else hashes[path]}  {path}\n" for path, entry in by_path.items()
    )
    return "".join(lines).encode()
