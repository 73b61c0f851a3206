"""What a node imports is what its lock file has."""

import ast
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

from master.distribution.bundles.lock import normalized, read_lock

ROOT = Path(__file__).resolve().parents[3]
OWN = {"node", "shared"}


def imported(path: Path) -> set[str]:
    """Name the packages that a module imports anywhere, lazily included."""
    names = set[str]()
    for part in ast.walk(ast.parse(path.read_text())):
        match part:
            case ast.Import():
                names |= {alias.name.partition(".")[0] for alias in part.names}
            case ast.ImportFrom():
                names.add((part.module or "").partition(".")[0])
            case _:
                pass
    return names


def test_the_lock_file_of_the_node_has_every_package_that_its_code_imports() -> None:
    locked = {one.name for one in read_lock((ROOT / "requirements-node.txt").read_text())}
    modules = [path for package in OWN for path in (ROOT / package).rglob("*.py")]
    names = set[str]().union(*map(imported, modules)) - OWN - set(sys.stdlib_module_names)
    owners = packages_distributions()
    assert {name for name in names if not {normalized(owner) for owner in owners.get(name, [])} & locked} == set()


def test_the_lock_file_of_the_node_pins_what_the_masters_pins() -> None:
    everything = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
    for one in read_lock((ROOT / "requirements-node.txt").read_text()):
        assert (one.name, everything[one.name]) == (one.name, one.version)
