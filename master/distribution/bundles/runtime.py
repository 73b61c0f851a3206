"""Reads a relocatable CPython for full bundles, as python-build-standalone publishes it (install_only, .tar.gz).

Its name tells what it is for: cpython-3.13.1+20250115-x86_64-unknown-linux-gnu-install_only.tar.gz. All is in one
folder `python`. Parts that a node never runs are left out.
"""

import re
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from master.distribution.bundles.entries import FILE_LIMIT, TOTAL_LIMIT, Entry, resolved, safe_path, safe_target
from master.distribution.bundles.platforms import LIBCS, MACHINES, PYTHONS, Platform
from master.errors import BundleError

FOLDER = "python/"
NAME = re.compile(
    rf"cpython-(3\.[0-9]+)\.[0-9]+[^-]*-({'|'.join(MACHINES)})(?:_v[0-9])?-unknown-linux-({'|'.join(LIBCS)})-.*\.tar\.gz"
)
DROPPED = re.compile(
    r"(include|share)/|lib/(pkgconfig|tcl|tk|itcl|thread|Tix)[^/]*/|.*\.a$|.*/__pycache__/|bin/(?!python3(\.[0-9]+)?$)|"
    r"lib/python3\.[0-9]+/(test|idlelib|tkinter|turtledemo|lib2to3|ensurepip|site-packages|config-[^/]*|pydoc_data)/|"
    r"lib/python3\.[0-9]+/lib-dynload/_tkinter[^/]*$|lib/lib(tcl|tk)[^/]*$"
)
MOST_MEMBERS = 50_000
SETUID = 0o6000


@dataclass(frozen=True)
class Runtime:
    """An archive, and the platform that it runs on."""

    path: Path
    platform: Platform


def read_runtime_name(path: Path) -> Runtime:
    """Read the name of an archive. Raises BundleError."""
    found = NAME.fullmatch(path.name)
    if found is None or found[1] not in PYTHONS:
        raise BundleError(
            f"{path.name}: a runtime is called cpython-3.N.N+DATE-MACHINE-unknown-linux-LIBC-install_only.tar.gz, "
            f"with Python {', '.join(PYTHONS)}, machine {', '.join(MACHINES)} and libc {', '.join(LIBCS)}"
        )
    return Runtime(path, Platform(found[1], found[2], found[3]))


def runtime_entries(runtime: Runtime, work: Path) -> list[Entry]:
    """Read the needed files, whose contents are written into the folder `work`. Raises BundleError."""
    try:
        with tarfile.open(runtime.path, "r:gz") as archive:
            entries = list(kept(archive, runtime.path.name, work))
    except (tarfile.TarError, OSError, EOFError) as error:
        raise BundleError(f"{runtime.path.name} cannot be read: {error}") from error
    found = with_targets(entries)
    if not any(entry.path == "bin/python3" for entry in found):
        raise BundleError(f"{runtime.path.name}: there is no {FOLDER}bin/python3 in it")
    return found


def kept(archive: tarfile.TarFile, source: str, work: Path) -> Iterator[Entry]:
    """Read member after member. Raises BundleError for the first that is dangerous, needed or not."""
    total = 0
    for number, member in enumerate(archive):
        total += member.size
        if number >= MOST_MEMBERS or total > TOTAL_LIMIT:
            raise BundleError(f"{source}: more than {MOST_MEMBERS} files or {TOTAL_LIMIT} bytes")
        inside = checked_member(source, member)
        if inside is None or member.isdir() or DROPPED.match(inside):
            continue
        path = safe_path(inside, source=source)
        if member.issym():
            yield Entry(path, target=safe_target(path, member.linkname, source=source))
            continue
        content = work / f"{number}"
        if (file := archive.extractfile(member)) is not None:
            content.write_bytes(file.read())
            yield Entry(path, content, is_executable=bool(member.mode & 0o100))


def checked_member(source: str, member: tarfile.TarInfo) -> str | None:
    """Return the path below `python`; None for that folder. Raises BundleError."""
    name = member.name.removeprefix("./").rstrip("/")
    if name == FOLDER.rstrip("/") and member.isdir():
        return None
    parts = PurePosixPath(name).parts
    if not name.startswith(FOLDER) or ".." in parts or "\x00" in name:
        raise BundleError(f"{source}: {name[:200]!r} is not below {FOLDER}")
    if not (member.isreg() or member.isdir() or member.issym()):
        raise BundleError(f"{source}: {name!r} is a device or a hard link")
    if member.mode & SETUID and not member.isdir():
        raise BundleError(f"{source}: {name!r} is setuid or setgid")
    if member.size > FILE_LIMIT:
        raise BundleError(f"{source}: {name!r} has more than {FILE_LIMIT} bytes")
    return name.removeprefix(FOLDER)


def with_targets(entries: Sequence[Entry]) -> list[Entry]:
    """Leave out the links to files that are not needed. A link to a link is made one to the file."""
    links = {entry.path: resolved(entry) for entry in entries if entry.target is not None}
    files = {entry.path for entry in entries if entry.target is None}
    found: list[Entry] = []
    for entry in entries:
        place = links.get(entry.path)
        for _ in range(len(links)):
            place = links.get(place, place) if place is not None else None
        if entry.target is None:
            found.append(entry)
        elif place in files:
            found.append(replace(entry, target=relative(entry.path, str(place))))
    return found


def relative(path: str, target: str) -> str:
    """Return the target of a link at `path` that leads to `target`, both below one folder."""
    here, there = PurePosixPath(path).parent.parts, PurePosixPath(target).parts
    common = next((n for n, (one, other) in enumerate(zip(here, there, strict=False)) if one != other), None)
    shared = min(len(here), len(there) - 1) if common is None else common
    return "/".join([".."] * (len(here) - shared) + list(there[shared:]))
