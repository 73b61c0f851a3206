"""The kinds of hosts that a thin bundle can be made for, and the tags of wheels that run on each. Pure.

Tags are those of PEP 425, 600 and 656. A bundle for gnu runs with glibc 2.28 (Debian 10, RHEL 8) or later.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from master.errors import BundleError

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
MACHINES = ("x86_64", "aarch64")
LIBCS = ("gnu", "musl")
GLIBC_MINOR = 28
OLDEST_GLIBC_MINOR = 5
NAMED_GLIBC = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
MUSLLINUX = ("musllinux_1_2", "musllinux_1_1")


@dataclass(frozen=True)
class Platform:
    """A minor version of Python, a machine and a C library."""

    python: str
    machine: str
    libc: str

    def __str__(self) -> str:
        return f"Python {self.python} on {self.machine} with {self.libc}"

    @property
    def interpreter(self) -> str:
        """The tag of CPython: cp311."""
        return f"cp{self.python.replace('.', '')}"

    def systems(self) -> list[str]:
        """List the platform tags of wheels, the preferred first."""
        names = MUSLLINUX if self.libc == "musl" else tuple(glibc_names())
        return [f"{name}_{self.machine}" for name in names] + ["any"]

    def tags(self) -> list[tuple[str, str, str]]:
        """List (interpreter, ABI, platform) of wheels that run here, the preferred first."""
        minor = int(self.python.partition(".")[2])
        older = [f"cp3{one}" for one in range(minor, 1, -1)]
        general = ["py3", *(f"py3{one}" for one in range(minor, -1, -1))]
        abis = [
            (self.interpreter, self.interpreter),
            *((one, "abi3") for one in older),
            (self.interpreter, "none"),
            *((one, "none") for one in general),
        ]
        return [(python, abi, system) for python, abi in abis for system in self.systems()]


def glibc_names() -> Iterator[str]:
    """Name glibc's versions from the newest to the oldest."""
    for minor in range(GLIBC_MINOR, OLDEST_GLIBC_MINOR - 1, -1):
        yield f"manylinux_2_{minor}"
        if minor in NAMED_GLIBC:
            yield NAMED_GLIBC[minor]


def platforms(pythons: Iterable[str], machines: Iterable[str], libcs: Iterable[str]) -> list[Platform]:
    """Combine the parts; an empty part means all that are known. Raises BundleError for an unknown one."""
    chosen = [
        known(list(pythons) or PYTHONS, PYTHONS, "Python"),
        known(list(machines) or MACHINES, MACHINES, "machine"),
        known(list(libcs) or LIBCS, LIBCS, "C library"),
    ]
    return [Platform(python, machine, libc) for python in chosen[0] for machine in chosen[1] for libc in chosen[2]]


def known(given: Iterable[str], names: tuple[str, ...], kind: str) -> list[str]:
    """Return the given names without doubles. Raises BundleError."""
    found = list(dict.fromkeys(given))
    if wrong := [name for name in found if name not in names]:
        raise BundleError(f"no bundles are made for {kind} {wrong[0]!r}, but for {', '.join(names)}")
    return found
