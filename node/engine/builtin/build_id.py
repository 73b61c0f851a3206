"""Which code this is, so that an agent sees that a worker runs other code than it would start now."""

import hashlib
from pathlib import Path

_DIGITS = 12
_PERMUTATION = Path(__file__).parents[3] / "shared" / "permutation.py"


def build_id() -> str:
    """The same for the same source files of this package and what it takes of others. Raises OSError."""
    digest = hashlib.sha256()
    for path in [*sorted(Path(__file__).parent.glob("*.py")), _PERMUTATION]:
        digest.update(b"%b\0%b\0" % (path.name.encode(), path.read_bytes()))
    return digest.hexdigest()[:_DIGITS]
