"""What the programs say of themselves: their version, and the settings that they read."""

import textwrap
import tomllib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGE = "maybe-proxy"


def program_version() -> str:
    """Read the version from the package's metadata, or in a checkout that is not installed from pyproject.toml."""
    try:
        return version(PACKAGE)
    except PackageNotFoundError:
        project = Path(__file__).resolve().parent.parent / "pyproject.toml"
        return str(tomllib.loads(project.read_text())["project"]["version"])


def listed(names: Iterable[str]) -> str:
    """Names of settings as lines of a help text."""
    return textwrap.fill(", ".join(names), width=78, initial_indent="  ", subsequent_indent="  ")
