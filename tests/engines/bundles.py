"""A folder in the layout of a node's bundle, with links to the code and to this environment's packages."""

import re
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
START = ROOT / "master/distribution/bundles/launcher/start.py"


def linked_bundle(folder: Path, version: str = "9.9.9", tree: Path = ROOT) -> list[str]:
    """Make the folder with the code of that tree. Returns the beginning of a command that starts a node from it."""
    library = folder / "lib"
    library.mkdir(parents=True)
    (folder / "VERSION").write_text(f"{version}\n")
    (folder / "start.py").write_bytes(START.read_bytes())
    for name in ("node", "shared"):
        copied(tree / name, library / name)
    lists = [tree / name for name in ("requirements-node.txt", "requirements.txt")]
    locked = next(path for path in lists if path.exists()).read_text()
    for name in re.findall(r"^([a-z0-9-]+)==", locked, re.MULTILINE):
        with suppress(PackageNotFoundError):  # of another platform
            link_distribution(name, library)
    return [sys.executable, "-I", "-S", str(folder / "start.py")]


def copied(source: Path, target: Path) -> None:
    """Copy modules: one finds its neighbours by its own path, with links resolved."""
    for path in source.rglob("*.py"):
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(path.read_bytes())


def link_distribution(name: str, library: Path) -> None:
    """Link each folder and module that the distribution has at its top."""
    found = distribution(name)
    tops = {Path(str(file)).parts[0] for file in found.files or ()} - {"..", "__pycache__"}
    for top in tops:
        place = library / top
        if not place.exists():
            place.symlink_to(Path(str(found.locate_file(top))))
