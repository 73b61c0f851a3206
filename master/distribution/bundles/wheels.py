"""Chooses the wheels of the locked libraries for a platform, and reads their files.

A wheel counts only by a hash of the lock file. Even so, a file that would be written outside of the bundle, a link or
a setuid file is refused: the lock file may have been made from a hostile registry.
"""

import stat
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from master.distribution.bundles.archive import file_sha256
from master.distribution.bundles.contents import is_needed
from master.distribution.bundles.entries import FILE_LIMIT, TOTAL_LIMIT, Entry, safe_path, without_doubles
from master.distribution.bundles.lock import Locked, normalized
from master.distribution.bundles.platforms import Platform
from master.errors import BundleError

MOST_MEMBERS = 20_000


@dataclass(frozen=True)
class Wheel:
    """A wheel's file, and what its name says (PEP 427)."""

    path: Path
    name: str
    version: str
    tags: frozenset[tuple[str, str, str]]


def wheels_in(folder: Path) -> list[Wheel]:
    """List the wheels of a folder. Raises BundleError when it cannot be read."""
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".whl")
    except OSError as error:
        raise BundleError(f"{folder} cannot be read: {error.strerror}") from error
    return [wheel for wheel in map(read_name, paths) if wheel is not None]


def read_name(path: Path) -> Wheel | None:
    """Read a wheel's name: name-version[-build]-interpreters-abis-platforms.whl; None for another form."""
    parts = path.stem.split("-")
    if len(parts) not in (5, 6):
        return None
    interpreters, abis, systems = (part.split(".") for part in parts[-3:])
    tags = frozenset((one, abi, system) for one in interpreters for abi in abis for system in systems)
    return Wheel(path, normalized(parts[0]), parts[1], tags)


def chosen(lock: Sequence[Locked], wheels: Iterable[Wheel], platform: Platform) -> list[Wheel]:
    """Return one wheel for each locked library. Raises BundleError with the libraries that have none."""
    order = {tag: place for place, tag in enumerate(platform.tags())}
    by_library: Mapping[tuple[str, str], list[tuple[int, Wheel]]] = {(one.name, one.version): [] for one in lock}
    for wheel in wheels:
        places = [order[tag] for tag in wheel.tags if tag in order]
        if places and (found := by_library.get((wheel.name, wheel.version))) is not None:
            found.append((min(places), wheel))
    if missing := [f"{name} {version}" for (name, version), found in by_library.items() if not found]:
        raise BundleError(f"{platform}: no wheel of {', '.join(missing)}")
    return [min(found, key=lambda each: (each[0], each[1].path.name))[1] for found in by_library.values()]


def library_entries(lock: Sequence[Locked], wheels: Iterable[Wheel], platform: Platform) -> list[Entry]:
    """Return the files of all libraries. Raises BundleError."""
    hashes = {one.name: one.hashes for one in lock}
    entries: list[Entry] = []
    for wheel in chosen(lock, wheels, platform):
        if file_sha256(wheel.path) not in hashes[wheel.name]:
            raise BundleError(f"{wheel.path.name}: its SHA-256 is not one of the lock file")
        entries += wheel_entries(wheel.path)
    return without_doubles(entries, source=str(platform))


def wheel_entries(path: Path) -> Iterator[Entry]:
    """Read the files of a wheel that are needed. Raises BundleError."""
    total = 0
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) > MOST_MEMBERS:
                raise BundleError(f"{path.name}: more than {MOST_MEMBERS} files")
            for member in members:
                checked_member(path.name, member)
                place = installed_path(member.filename)
                total += member.file_size
                if total > TOTAL_LIMIT:
                    raise BundleError(f"{path.name}: more than {TOTAL_LIMIT} bytes")
                if place is not None and is_needed(place):
                    yield Entry(safe_path(place, source=path.name), archive.read(member))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError) as error:
        raise BundleError(f"{path.name} cannot be read: {error}") from error


def checked_member(source: str, member: zipfile.ZipInfo) -> None:
    """Raises BundleError for a path outside of the folder, a link, a device, a setuid or an enormous file."""
    # zipfile cuts a name off at a NUL, so the name as it was written counts.
    safe_path(member.orig_filename.removesuffix("/"), source=source)
    mode = member.external_attr >> 16
    kind = stat.S_IFMT(mode)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise BundleError(f"{source}: {member.filename!r} is neither a file nor a folder")
    if mode & (stat.S_ISUID | stat.S_ISGID):
        raise BundleError(f"{source}: {member.filename!r} is setuid or setgid")
    if member.file_size > FILE_LIMIT:
        raise BundleError(f"{source}: {member.filename!r} has more than {FILE_LIMIT} bytes")


def installed_path(name: str) -> str | None:
    """Return where a member is installed below lib; None for folders, programs, headers and other data (PEP 427)."""
    if name.endswith("/"):
        return None
    first, _, rest = name.partition("/")
    if not first.endswith(".data"):
        return name
    kind, _, inside = rest.partition("/")
    return inside if kind in ("purelib", "platlib") else None
