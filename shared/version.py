"""Version of the programs, and the list of their settings for help texts."""

import textwrap
from collections.abc import Iterable
from pathlib import Path

PACKAGE = "maybe-proxy"
BUNDLE_LIBRARIES = "lib"
"""The folder of a bundle that holds this package. VERSION is beside it."""


def program_version() -> str:
    """Read the version from a bundle's file VERSION, else from the package's metadata, or from pyproject.toml in a
    checkout that is not installed."""
    root = Path(__file__).resolve().parent.parent
    if root.name == BUNDLE_LIBRARIES and (bundled := root.parent / "VERSION").is_file():
        return bundled.read_text().strip()
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 (slow, and not needed in a bundle)

    try:
        return version(PACKAGE)
    except PackageNotFoundError:
        import tomllib  # noqa: PLC0415

        return str(tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"])


def listed(names: Iterable[str]) -> str:
    """Format names of settings as lines of a help text."""
    return textwrap.fill(", ".join(names), width=78, initial_indent="  ", subsequent_indent="  ")
