"""Identifies the code of a worker, so that an agent notices a worker that runs other code than it would start now."""

import hashlib
from pathlib import Path

_DIGITS = 12
_HERE = Path(__file__).parent
_SHARED = Path(__file__).parents[3] / "shared"
_OF_SHARED = ("destinations.py", "engine/defaults.py", "engine/permutation.py", "special_addresses.py")
"""The modules outside this package that a worker imports."""


def build_id() -> str:
    """A digest of the source files of this package and of the packages that it imports. Raises OSError."""
    digest = hashlib.sha256()
    for path in [*sorted(_HERE.rglob("*.py")), *(_SHARED / name for name in _OF_SHARED)]:
        digest.update(b"%b\0%b\0" % (path.name.encode(), path.read_bytes()))
    return digest.hexdigest()[:_DIGITS]
