"""Ports: whether one can be taken, and whether a process still holds its listener."""

import errno
import os
import socket

from node.engine import EngineError


def refuse_unusable(listen: str, port: int) -> None:
    """Raises EngineError with the reason why nobody could listen there now.

    Without SO_REUSEPORT, so that a listener which shares its port is seen too; 3proxy itself would share it silently,
    or retry for ever.
    """
    family = socket.AF_INET6 if ":" in listen else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((listen, port))
        except OSError as error:
            raise EngineError(refusal(error.errno, listen, port)) from error


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


def first_socket(pid: int) -> tuple[int, str]:
    """The descriptor and the name (`socket:[inode]`) of the first socket that the process opened: 3proxy's listener.

    Raises OSError when its files cannot be seen, LookupError when it has no socket.
    """
    for descriptor in sorted(map(int, os.listdir(f"/proc/{pid}/fd"))):
        name = os.readlink(f"/proc/{pid}/fd/{descriptor}")
        if name.startswith("socket:"):
            return descriptor, name
    raise LookupError(pid)


def holds(pid: int, descriptor: int, name: str) -> bool:
    """Whether the process still has that very socket; a dead one has none, and a 3proxy that was paused or whose reload
    failed has closed it while it lives on. Inodes of sockets are not used twice, so a reused number is no danger."""
    try:
        return os.readlink(f"/proc/{pid}/fd/{descriptor}") == name
    except OSError:
        return False
