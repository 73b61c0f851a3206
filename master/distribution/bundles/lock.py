"""Reads the lock file of the node's libraries: pinned versions with hashes, as for pip. Pure."""

import re
from dataclasses import dataclass

from master.errors import BundleError

PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([A-Za-z0-9.+!]+)")
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True)
class Locked:
    """A library: its normalized name (PEP 503), its version and the SHA-256 of each of its files."""

    name: str
    version: str
    hashes: frozenset[str]


def read_lock(text: str) -> list[Locked]:
    """Read a lock file. Raises BundleError for a line of another form, environment markers included."""
    lines = [line.strip() for line in re.sub(r"\\\n", " ", text).splitlines()]
    return [locked(line) for line in lines if line and not line.startswith("#")]


def locked(line: str) -> Locked:
    """Read a requirement. Raises BundleError."""
    first, *options = line.split()
    pin = PIN.fullmatch(first)
    hashes = [HASH.fullmatch(option) for option in options]
    if pin is None or not hashes or None in hashes:
        raise BundleError(f"the lock file has a line that is not a pinned version with hashes: {line[:80]!r}")
    return Locked(normalized(pin[1]), pin[2], frozenset(found[1] for found in hashes if found))


def normalized(name: str) -> str:
    """Return a name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()
