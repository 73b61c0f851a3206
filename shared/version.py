"""Version of the programs, and the list of their settings for help texts."""

import textwrap
import tomllib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGE = "maybe-proxy"


def program_version() -> str:
    """Read the version from the package's metadata, or from pyproject.toml in a checkout that is not installed."""
    try:
        return version(PACKAGE)
    except PackageNotFoundError:
        project = Path(__file__).resolve().parent.parent / "pyproject.toml"
        return str(tomllib.loads(project.read_text())["project"]["version"])


def listed(names: Iterable[str]) -> str:
    """Format names of settings as lines of a help text."""
    return textwrap.fill(", ".join(names), width=78, initial_indent="  ", subsequent_indent="  ")
