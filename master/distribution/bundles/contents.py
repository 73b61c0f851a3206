"""What is in a bundle: the launcher, the node's code, its libraries, units, licence, and the checksums of all.

This file's package stands in the folder of `node` and `shared`, in a checkout as well as when it is installed.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from master.distribution.bundles.entries import Entry, checksums, without_doubles
from master.errors import BundleError
from shared.version import PACKAGE

SOURCES = Path(__file__).resolve().parents[3]
LAUNCHER = Path(__file__).parent / "launcher"
UNITS = "node/systemd"
TESTS = frozenset({"tests", "test", "testing"})
METADATA_DROPPED = frozenset({"RECORD", "WHEEL", "INSTALLER", "REQUESTED", "direct_url.json", "entry_points.txt"})
"""Of installers alone. METADATA stays for importlib.metadata, and the licences for people."""


def bundle_entries(
    version: str, python: str, libraries: Iterable[Entry], runtime: Iterable[Entry] = (), *, sources: Path = SOURCES
) -> list[Entry]:
    """Return all files of a bundle, sorted. The paths of `libraries` begin below lib, those of `runtime` below python.

    Raises BundleError when `sources` do not have the node, or two files have one path.
    """
    entries = [
        Entry("VERSION", f"{version}\n".encode()),
        Entry("PYTHON", f"{python}\n".encode()),
        Entry("LICENSE", licence(sources)),
        Entry("maybe-node", (LAUNCHER / "maybe-node").read_bytes(), is_executable=True),
        Entry("start.py", (LAUNCHER / "start.py").read_bytes()),
        *below("lib", libraries),
        *below("lib", own_code(version, sources)),
        *below("systemd", files_below(sources / UNITS)),
        *below("python", runtime),
    ]
    ordered = without_doubles(entries, source="the bundle")
    return without_doubles([*ordered, Entry("FILES", checksums(ordered))], source="the bundle")


def own_code(version: str, sources: Path) -> Iterator[Entry]:
    """List the node's own packages, with the metadata that its program reads its version from."""
    if not (sources / "node" / "__main__.py").is_file():
        raise BundleError(f"{sources} does not have the node's code")
    for package in ("node", "shared"):
        for entry in below(package, files_below(sources / package)):
            if not entry.path.startswith(f"{UNITS}/"):
                yield entry
    metadata = f"Metadata-Version: 2.4\nName: {PACKAGE}\nVersion: {version}\nLicense-Expression: Apache-2.0\n"
    yield Entry(f"{PACKAGE.replace('-', '_')}-{version}.dist-info/METADATA", metadata.encode())


def files_below(folder: Path) -> Iterator[Entry]:
    """List the files in a folder and its subfolders, without bytecode."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and is_needed(inside := path.relative_to(folder).as_posix()):
            yield Entry(inside, path.read_bytes())


def below(folder: str, entries: Iterable[Entry]) -> Iterator[Entry]:
    """Put entries into a folder."""
    return (replace(entry, path=f"{folder}/{entry.path}") for entry in entries)


def is_needed(path: str) -> bool:
    """Whether a file of a library is needed to run: not its tests, types, compiler input and installer's notes."""
    *folders, name = path.split("/")
    if "__pycache__" in folders or name.endswith((".pyc", ".pyi", ".pyx", ".pxd", ".c", ".h")) or name == "py.typed":
        return False
    if any(folder in TESTS for folder in folders) or name.startswith("_testcapi"):
        return False
    return not (folders and folders[0].endswith(".dist-info") and name in METADATA_DROPPED)


def licence(sources: Path) -> bytes:
    """Read the licence of the product. Raises BundleError."""
    try:
        installed = [Path(str(file.locate())) for file in distribution(PACKAGE).files or () if file.name == "LICENSE"]
    except PackageNotFoundError:
        installed = []
    for path in [sources / "LICENSE", *installed]:
        if path.is_file():
            return path.read_bytes()
    raise BundleError(f"there is no LICENSE in {sources}")
