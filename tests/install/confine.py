"""Runs a program under the system call filters of a unit, as systemd loads them. Standard library and libseccomp alone.

    python3 confine.py FILTERS.json PROGRAM [ARGUMENT]...

It runs in a bare root, as the user of the service, with no_new_privs set. The file has `allowed` and `known`, names of
system calls, `families`, numbers of address families, and `flags`, the names of the switches of the unit that are on.
Sources: systemd.exec(5), and src/shared/seccomp-util.c of systemd 252.
"""

import ctypes
import errno
import json
import os
import sys
from collections.abc import Iterable

ALLOW, ERRNO = 0x7FFF0000, 0x00050000
NE, EQ, GE, MASKED_EQ = 1, 4, 5, 7
PROT_WRITE, PROT_EXEC, SHM_EXEC = 2, 4, 0o100000
SUID, SGID, O_CREAT = 0o4000, 0o2000, 0o100
NAMESPACES = (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000)
FAMILIES = 64
CREATING = {"chmod": 1, "fchmod": 1, "fchmodat": 2, "mkdir": 1, "mkdirat": 2, "mknod": 1, "mknodat": 2, "creat": 1}
"""System calls that set a mode, and which argument it is."""

Comparison = tuple[int, int, int, int]


class Argument(ctypes.Structure):
    """struct scmp_arg_cmp."""

    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


class Filter:
    """One filter of the process; of several the strictest answer counts."""

    def __init__(self, default: int) -> None:
        self._library = ctypes.CDLL("libseccomp.so.2")
        self._library.seccomp_init.restype = ctypes.c_void_p
        self._context = ctypes.c_void_p(self._library.seccomp_init(ctypes.c_uint32(default)))
        self._default = default

    def add(self, action: int, name: str, *comparisons: Comparison) -> None:
        """Act so on a system call, if all comparisons hold. One that this machine does not have is left out."""
        number = self._library.seccomp_syscall_resolve_name(name.encode())
        if number < 0 or action == self._default:
            return
        arguments = (Argument * len(comparisons))(*(Argument(*each) for each in comparisons))
        act, count = ctypes.c_uint32(action), ctypes.c_uint(len(comparisons))
        code = self._library.seccomp_rule_add_array(self._context, act, number, count, arguments)
        if code:
            raise OSError(-code, f"{name}: {os.strerror(-code)}")

    def load(self) -> None:
        code = self._library.seccomp_load(self._context)
        if code:
            raise OSError(-code, os.strerror(-code))


def allow(allowed: Iterable[str], known: Iterable[str]) -> None:
    """SystemCallFilter= and SystemCallErrorNumber=EPERM. A call that systemd does not know fails with ENOSYS."""
    made, allowed = Filter(ERRNO | errno.ENOSYS), set(allowed)
    for name in {*known, *allowed}:
        made.add(ALLOW if name in allowed else ERRNO | errno.EPERM, name)
    made.load()


def restrict_families(families: Iterable[int]) -> None:
    """RestrictAddressFamilies=."""
    made, kept = Filter(ALLOW), set(families)
    for family in set(range(FAMILIES)) - kept:
        made.add(ERRNO | errno.EAFNOSUPPORT, "socket", (0, EQ, family, 0))
    made.add(ERRNO | errno.EAFNOSUPPORT, "socket", (0, GE, FAMILIES, 0))
    made.load()


def restrict_namespaces() -> None:
    """RestrictNamespaces=."""
    made = Filter(ALLOW)
    made.add(ERRNO | errno.ENOSYS, "clone3")
    made.add(ERRNO | errno.EPERM, "setns", (1, EQ, 0, 0))
    for flag in NAMESPACES:
        for name, argument in (("unshare", 0), ("clone", 0), ("setns", 1)):
            made.add(ERRNO | errno.EPERM, name, (argument, MASKED_EQ, flag, flag))
    made.load()


def deny_writable_code() -> None:
    """MemoryDenyWriteExecute=."""
    made, both = Filter(ALLOW), PROT_WRITE | PROT_EXEC
    made.add(ERRNO | errno.EPERM, "mmap", (2, MASKED_EQ, both, both))
    for name in ("mprotect", "pkey_mprotect"):
        made.add(ERRNO | errno.EPERM, name, (2, MASKED_EQ, PROT_EXEC, PROT_EXEC))
    made.add(ERRNO | errno.EPERM, "shmat", (2, MASKED_EQ, SHM_EXEC, SHM_EXEC))
    made.load()


def restrict_modes() -> None:
    """RestrictSUIDSGID=."""
    made = Filter(ALLOW)
    for bit in (SUID, SGID):
        for name, argument in CREATING.items():
            made.add(ERRNO | errno.EPERM, name, (argument, MASKED_EQ, bit, bit))
        for name, flags in (("open", 1), ("openat", 2)):
            made.add(ERRNO | errno.EPERM, name, (flags, MASKED_EQ, O_CREAT, O_CREAT), (flags + 1, MASKED_EQ, bit, bit))
    made.add(ERRNO | errno.ENOSYS, "openat2")
    made.load()


def lock_personality() -> None:
    """LockPersonality=."""
    made = Filter(ALLOW)
    made.add(ERRNO | errno.EPERM, "personality", (0, NE, 0, 0))
    made.load()


SWITCHES = {
    "RestrictNamespaces": restrict_namespaces,
    "RestrictSUIDSGID": restrict_modes,
    "LockPersonality": lock_personality,
    "MemoryDenyWriteExecute": deny_writable_code,
}


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:
        filters = json.load(file)
    restrict_families(filters["families"])
    for name in filters["flags"]:
        SWITCHES[name]()
    allow(filters["allowed"], filters["known"])
    os.execv(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
