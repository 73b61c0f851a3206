"""The version of this program."""

import tomllib
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
