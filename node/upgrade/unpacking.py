"""Unpacks a bundle into a folder that it cannot leave, and verifies an unpacked one by its list FILES."""

import gzip
import hashlib
import os
import re
import stat
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, cast

from node.upgrade.decisions import Refused

MOST_BYTES = 1 << 30
MOST_MEMBERS = 50_000
MOST_STEPS = 40
"""Folders within one another."""
LONGEST_NAME = 500
PIECE = 1 << 20
FILES = "FILES"
VERSION = "VERSION"
LAUNCHER = "maybe-node"
CACHE = "__pycache__"
COMPILED = ".compiled"
BUNDLE_MARK = ".bundle"
LATER = (FILES, COMPILED, BUNDLE_MARK)
"""Files that no bundle lists: its list, and those that an installation adds, as it does compiled modules."""
LISTED = re.compile(r"([0-9a-f]{64})  (\S.*)")


class Bounded:
    """A decompressed stream that ends with an error after MOST_BYTES."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._left = stream, MOST_BYTES

    def read(self, size: int) -> bytes:
        """Read at most this many bytes. Raises Refused, OSError."""
        body = self._stream.read(min(size, self._left + 1))
        self._left -= len(body)
        if self._left < 0:
            raise Refused(f"the bundle has more than {MOST_BYTES >> 20} MiB unpacked")
        return body


def unpack(bundle: Path, folder: Path, top: str) -> None:
    """Unpack the bundle's only folder, `top`, as `folder`, which must not exist. Raises Refused, OSError.

    Files and folders get this user as owner and plain modes; links are made last, so nothing is written through one.
    """
    links: dict[PurePosixPath, str] = {}
    folder.mkdir(mode=0o755)
    try:
        with gzip.open(bundle, "rb") as stream, opened(Bounded(cast(IO[bytes], stream))) as archive:
            for member in numbered(archive):
                place(archive, member, folder, inner_path(member.name, top), links)
        for path, target in links.items():
            (folder / path).symlink_to(target)
        check_links(folder, links)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError) as error:
        raise Refused(f"the bundle cannot be unpacked: {error or type(error).__name__}") from error


def opened(stream: Bounded) -> tarfile.TarFile:
    """Open a stream, of which tarfile needs no more than read(). Raises tarfile.TarError."""
    return tarfile.open(fileobj=cast(IO[bytes], stream), mode="r|")


def numbered(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Yield the members. Raises Refused when there are too many."""
    for number, member in enumerate(archive):
        if number >= MOST_MEMBERS:
            raise Refused(f"the bundle has more than {MOST_MEMBERS} members")
        yield member


def inner_path(name: str, top: str) -> PurePosixPath:
    """Return the path of a member below the bundle's folder. Raises Refused."""
    parts = name.rstrip("/").split("/")
    plain = name.isprintable() and len(name) <= LONGEST_NAME and len(parts) <= MOST_STEPS
    if not plain or parts[0] != top or any(part in ("", ".", "..") for part in parts):
        raise Refused(f"the bundle has a member with the name {name[:100]!r}")
    return PurePosixPath(*parts[1:])


def place(
    archive: tarfile.TarFile,
    member: tarfile.TarInfo,
    folder: Path,
    path: PurePosixPath,
    links: dict[PurePosixPath, str],
) -> None:
    """Write a file or folder, or note a link. Raises Refused, OSError."""
    if member.isdir():
        make_folders(folder, path)
    elif member.isreg():
        make_folders(folder, path.parent)
        if path in links:
            raise Refused(f"the bundle has {str(path)!r} twice")
        write_member(archive, member, folder / path)
    elif member.issym() and path.parts:
        make_folders(folder, path.parent)
        if path in links:
            raise Refused(f"the bundle has {str(path)!r} twice")
        links[path] = member.linkname
    else:
        raise Refused(f"the bundle has {str(path)!r}, which is neither a file nor a folder nor a symlink")


def make_folders(folder: Path, path: PurePosixPath) -> None:
    """Make the folders of a path. Raises Refused, OSError."""
    for parent in (*reversed(path.parents), path):
        made = folder / parent
        if not made.is_dir():
            made.mkdir()
            made.chmod(0o755)


def write_member(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    """Write a file that does not exist yet. Raises Refused, OSError."""
    content = archive.extractfile(member)
    assert content is not None  # noqa: S101 (narrowing: it is a regular file)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise Refused(f"the bundle has {path.name!r} twice") from None
    with os.fdopen(descriptor, "wb") as file:
        while piece := content.read(PIECE):
            file.write(piece)
        os.fchmod(file.fileno(), 0o755 if member.mode & stat.S_IXUSR else 0o644)


def check_links(folder: Path, links: dict[PurePosixPath, str]) -> None:
    """Check that every link ends at a file or folder within. Raises Refused, OSError."""
    inside = folder.resolve()
    for path, target in links.items():
        try:
            end = (folder / path).resolve(strict=True)
        except (OSError, RuntimeError):
            end = None
        if target.startswith("/") or end is None or not end.is_relative_to(inside):
            raise Refused(f"the bundle has a link {str(path)!r} that leads out of it or nowhere")


def verify(folder: Path, version: str) -> None:
    """Check every file of an unpacked bundle, and that it is of this version. Raises Refused, OSError."""
    listed = read_list((folder / FILES).read_text()) if (folder / FILES).is_file() else {}
    found = {str(path.relative_to(folder)): path for path in files_below(folder)}
    found = {name: path for name, path in found.items() if name not in LATER}
    differing = sorted(listed.keys() ^ found.keys())
    compiled = read_list((folder / COMPILED).read_text()) if (folder / COMPILED).is_file() else {}
    differing += [name for name, sha256 in (listed | compiled).items() if not is_file(folder / name, sha256)]
    if not listed or differing:
        raise Refused(f"{folder.name} is not whole: {differing[0] if differing else FILES} differs from {FILES}")
    if (folder / VERSION).read_text().strip() != version:
        raise Refused(f"the bundle is not of version {version}")
    if not os.access(folder / LAUNCHER, os.X_OK):
        raise Refused(f"the bundle's {LAUNCHER} is not executable")


def is_file(path: Path, sha256: str) -> bool:
    """Whether a file is there and has this checksum. Raises OSError."""
    return path.is_file() and sha256_of(path) == sha256


def read_list(text: str) -> dict[str, str]:
    """Map each name in FILES to its SHA-256. Raises Refused."""
    lines = [LISTED.fullmatch(line) for line in text.splitlines()]
    if not all(lines):
        raise Refused(f"the bundle's {FILES} is not a list of checksums")
    return {line[2].removeprefix("./"): line[1] for line in lines if line}


def files_below(folder: Path) -> Iterator[Path]:
    """Yield files and links to files, but no compiled modules."""
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != CACHE]
        yield from (Path(parent, name) for name in names)


def sha256_of(path: Path) -> str:
    """Compute the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
