"""Reads the files of the web page and compresses them, each once for each time that it changes."""

import gzip
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from master.errors import NotFound
from master.schemas.media_types import MediaType

FRESH_S = 1.0
FOLDER = (Path(__file__).parent / "static").resolve()
MEDIA_TYPES: Mapping[str, MediaType] = {
    ".js": MediaType.JAVASCRIPT,
    ".css": MediaType.CSS,
    ".svg": MediaType.SVG,
}
"""The types that are served. Others, such as declarations of types, are not."""

CONTENTS = FOLDER / "packed/contents.json"
"""Which sources the packed form of the page was made from."""


@dataclass(frozen=True, slots=True)
class PageFile:
    """A file as it is sent."""

    media_type: MediaType
    content: bytes
    zipped: bytes

    @property
    def etag(self) -> str:
        """Its entity tag, from its content."""
        return f'"{sha256(self.content).hexdigest()[:32]}"'


def build() -> str:
    """Return a hash of all files: the part of their addresses that lets browsers keep them for good.

    A page asks for a hundred files at once, so the folder is looked at once a second at most. Only names, sizes and
    times are read unless one of them changed, so a developer sees every edit.
    """
    return _build_in(int(time.monotonic() / FRESH_S))


@lru_cache(1)
def _build_in(_period: int) -> str:
    stats = [(path, path.stat()) for path in sorted(FOLDER.rglob("*")) if is_sent(path) or path == CONTENTS]
    return _hash_of(tuple((path, stat.st_size, stat.st_mtime_ns) for path, stat in stats))


@lru_cache(4)
def _hash_of(stats: tuple[tuple[Path, int, int], ...]) -> str:
    digest = sha256()
    for path, _, _ in stats:
        digest.update(path.relative_to(FOLDER).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def is_sent(path: Path) -> bool:
    """Whether the type of a file is one that is sent."""
    return path.suffix in MEDIA_TYPES


def page_file(name: str) -> PageFile:
    """Return a file by its path below the folder. Raises NotFound."""
    path = (FOLDER / name).resolve()
    if not is_sent(path) or not path.is_relative_to(FOLDER) or not path.is_file():
        raise NotFound("there is no such file")
    return _read(path, path.stat().st_mtime_ns)


@lru_cache(256)
def _read(path: Path, _changed_at: int) -> PageFile:
    content = path.read_bytes()
    return PageFile(MEDIA_TYPES[path.suffix], content, gzip.compress(content, 9, mtime=0))
