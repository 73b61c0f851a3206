"""Builds the bundles of a version, their manifest and its signature."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from master.distribution.bundles.archive import write_archive
from master.distribution.bundles.contents import SOURCES, bundle_entries
from master.distribution.bundles.download import download
from master.distribution.bundles.entries import Entry
from master.distribution.bundles.lock import Locked, read_lock
from master.distribution.bundles.platforms import Platform
from master.distribution.bundles.publication import publish
from master.distribution.bundles.release import bundle_file, write_release
from master.distribution.bundles.runtime import Runtime, runtime_entries
from master.distribution.bundles.wheels import library_entries, wheels_in
from master.errors import BundleError
from shared.release.manifest import BundleFile, BundleKind, Manifest, bundle_folder, bundle_name, read_moment

LOCK_NAME = "requirements-node.txt"


@dataclass(frozen=True, kw_only=True)
class Build:
    """What to build. With `wheels` nothing is downloaded. Unless `is_strict`, platforms without wheels are left out."""

    out: Path
    version: str
    min_upgradable_from: str
    created_at: str
    private_pem: bytes
    platforms: Sequence[Platform]
    runtimes: Sequence[Runtime] = ()
    wheels: Path | None = None
    is_strict: bool = False
    lock: Path = SOURCES / LOCK_NAME
    sources: Path = SOURCES

    @property
    def mtime(self) -> int:
        """The moment of every file in the bundles."""
        return int(read_moment(self.created_at).timestamp())


def build(wanted: Build, say: Callable[[str], None]) -> Manifest:
    """Build everything aside, then publish it in `wanted.out`. Raises BundleError, BadKey, OSError."""
    lock = read_lock(lock_text(wanted.lock))
    wanted.out.mkdir(parents=True, exist_ok=True)
    staged = wanted.out / f".new-{wanted.version}"
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir()
    try:
        with TemporaryDirectory(prefix="maybe-bundles-") as work:
            files = list(built(wanted, lock, staged, Path(work), say))
        if not files:
            raise BundleError("no bundle was built")
        manifest = write_release(
            staged,
            wanted.version,
            files,
            wanted.private_pem,
            created_at=wanted.created_at,
            min_upgradable_from=wanted.min_upgradable_from,
        )
        place = publish(staged, wanted.out)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    say(f"{place}: version {manifest.version}, {len(files)} bundles")
    return manifest


def lock_text(path: Path) -> str:
    """Read the lock file. Raises BundleError."""
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f"the lock file {path} cannot be read; name {LOCK_NAME} of a checkout by --lock") from error


def built(
    wanted: Build, lock: Sequence[Locked], staged: Path, work: Path, say: Callable[[str], None]
) -> Iterator[BundleFile]:
    """Build one bundle after the other."""
    for platform in wanted.platforms:
        try:
            libraries = libraries_of(wanted, lock, platform, work)
        except BundleError as error:
            if wanted.is_strict:
                raise
            say(f"left out: {error}")
            continue
        yield one_bundle(wanted, staged, "thin", platform, libraries, (), say)
    for runtime in wanted.runtimes:
        libraries = libraries_of(wanted, lock, runtime.platform, work)
        with TemporaryDirectory(dir=work) as contents:
            entries = runtime_entries(runtime, Path(contents))
            yield one_bundle(wanted, staged, "full", runtime.platform, libraries, entries, say)


def libraries_of(wanted: Build, lock: Sequence[Locked], platform: Platform, work: Path) -> list[Entry]:
    """Return the libraries' files, downloaded if need be. Raises BundleError."""
    folder = wanted.wheels or work / "wheels"
    if wanted.wheels is None:
        download(wanted.lock, platform, folder)
    return library_entries(lock, wheels_in(folder), platform)


def one_bundle(
    wanted: Build,
    staged: Path,
    kind: BundleKind,
    platform: Platform,
    libraries: Sequence[Entry],
    runtime: Sequence[Entry],
    say: Callable[[str], None],
) -> BundleFile:
    """Write a bundle and describe it."""
    python = platform.python if kind == "thin" else None
    name = bundle_name(wanted.version, kind, python=python, machine=platform.machine, libc=platform.libc)
    entries = bundle_entries(wanted.version, platform.python, libraries, runtime, sources=wanted.sources)
    written = write_archive(staged / name, bundle_folder(wanted.version), entries, mtime=wanted.mtime)
    say(f"{name}: {written.size:,} bytes")
    return bundle_file(written, wanted.version, kind, python=python, machine=platform.machine, libc=platform.libc)
