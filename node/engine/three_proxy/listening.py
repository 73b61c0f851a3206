"""Checks of ports: whether one is free, and whether a process still has its listener."""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address

from node.engine.interface import EngineError, EnginePortTaken

TCP_LISTEN = "0A"


def refuse_unusable(listen: str, port: int) -> None:
    """Raise EngineError with the reason, if no program can listen on the port now.

    SO_REUSEPORT is not set, so that a listener that shares its port is detected too; 3proxy would share it silently, or
    retry for ever.
    """
    family = socket.AF_INET6 if ":" in listen else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((listen, port))
        except OSError as error:
            kind = EnginePortTaken if error.errno == errno.EADDRINUSE else EngineError
            raise kind(refusal(error.errno, listen, port)) from error


def refuse_foreign(address: IPv4Address | IPv6Address) -> None:
    """Raise EngineError if connections cannot leave from this address: 3proxy would start and fail every client."""
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((str(address), 0))
        except OSError as error:
            problem = (
                "is not an address of this host" if error.errno == errno.EADDRNOTAVAIL else f"cannot be used: {error}"
            )
            raise EngineError(f"the exit {address} {problem}") from error


def refusal(code: int | None, listen: str, port: int) -> str:
    match code:
        case errno.EADDRINUSE:
            return f"port {port} is taken by another program"
        case errno.EACCES:
            return f"port {port} needs a privilege that the agent does not have"
        case errno.EADDRNOTAVAIL:
            return f"{listen} is not an address of this host (port {port})"
        case _:
            return f"port {port} cannot be used: {os.strerror(code or 0)}"


def listener(pid: int, port: int) -> tuple[int, str]:
    """The descriptor and the name (`socket:[inode]`) of the process's listening socket.

    Several processes may share the port for a moment. Raises OSError if its files are not accessible, LookupError if it
    has no such socket.
    """
    names = set(listening_names(port))
    for descriptor in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):  # closed meanwhile
            name = os.readlink(f"/proc/{pid}/fd/{descriptor}")
            if name in names:
                return int(descriptor), name
    raise LookupError(f"process {pid} does not listen on port {port}")


def listening_names(port: int) -> Iterator[str]:
    """All sockets that listen on the port, from /proc/net/tcp: listeners come first there, so a long table of
    connections is not read to the end."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(FileNotFoundError), open(table) as rows:  # no IPv6 here
            next(rows)
            for row in map(str.split, rows):
                if row[3] != TCP_LISTEN:
                    break
                if int(row[1].rpartition(":")[2], 16) == port:
                    yield f"socket:[{row[9]}]"


def has_listener(pid: int, descriptor: int, name: str) -> bool:
    """Whether the process still has that socket. A dead process has none; a 3proxy that was paused, or whose reload
    failed, has closed it and lives on. Inodes of sockets are not reused, so a reused descriptor number is no danger."""
    try:
        return os.readlink(f"/proc/{pid}/fd/{descriptor}") == name
    except OSError:
        return False
