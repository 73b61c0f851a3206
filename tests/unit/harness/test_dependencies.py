"""A plain installation of the package can start both programs."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PROGRAMS = ("master", "node", "shared")


def imported() -> set[str]:
    """Top-level names of all modules that the product imports."""
    names: set[str] = set()
    for path in (path for program in PROGRAMS for path in (ROOT / program).rglob("*.py")):
        for statement in ast.walk(ast.parse(path.read_text())):
            if isinstance(statement, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in statement.names}
            elif isinstance(statement, ast.ImportFrom) and statement.module:
                names.add(statement.module.partition(".")[0])
    return names


def required() -> set[str]:
    """Names of the packages that a plain installation brings."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {re.split(r"[<>=;\[ ]", line)[0].lower() for line in project["dependencies"]}


def test_every_package_that_the_product_imports_is_a_dependency_of_it() -> None:
    foreign = imported() - sys.stdlib_module_names - set(PROGRAMS)
    providers = packages_distributions()
    lacking = {name for name in foreign if not {each.lower() for each in providers.get(name, ())} & required()}
    # These come with the packages that are built on them.
    assert lacking <= {"aiormq", "h11", "httpcore", "pamqp", "pydantic_core", "yarl"}
