"""Opens the sockets on which proxies listen, and explains why one cannot be opened."""

import errno
import os
import socket
from _socket import socket as Socket  # noqa: N812 (the base class; the wrapper of the library costs 3 us a connection)
from collections.abc import Mapping
from types import MappingProxyType

from node.engine.builtin.net.keepalive import probe
from node.engine.interface import EngineError, EnginePortTaken

BACKLOG = 4096
_EVERYWHERE = "::"
_INET, _INET6 = int(socket.AF_INET), int(socket.AF_INET6)
_NON_BLOCKING = int(socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)

_REASONS: Mapping[int, str] = MappingProxyType(
    {
        errno.EADDRINUSE: "port {port} is taken by another program",
        errno.EACCES: "port {port} needs a privilege that this program does not have (CAP_NET_BIND_SERVICE)",
        errno.EPERM: "port {port} needs a privilege that this program does not have (CAP_NET_BIND_SERVICE)",
        errno.EADDRNOTAVAIL: "{address} is not an address of this host",
        errno.EMFILE: "this program is out of file descriptors",
        errno.ENFILE: "this host is out of file descriptors",
    }
)


def open_listener(address: str | None, port: int) -> Socket:
    """Open a listening socket; without an address on all addresses, IPv4 and IPv6. Raises EngineError.

    SO_REUSEADDR but not SO_REUSEPORT: a port in use must not be shared silently. Accepted sockets inherit TCP_NODELAY
    and keep-alive, which saves calls for each connection; keep-alive detects clients that vanished.
    """
    if address is not None:
        return _listening(address, port)
    try:
        return _listening(_EVERYWHERE, port)
    except _NoIPv6Error:
        return _listening("0.0.0.0", port)


class _NoIPv6Error(EngineError):
    pass


def _listening(address: str, port: int) -> Socket:
    try:
        listener = Socket(_INET6 if ":" in address else _INET, _NON_BLOCKING)
    except OSError as error:
        raise _explained(error, address, port) from error
    try:
        _bind(listener, address, port)
    except OSError as error:
        listener.close()
        raise _explained(error, address, port) from error
    return listener


def _bind(listener: Socket, address: str, port: int) -> None:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    probe(listener)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if listener.family == _INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(address != _EVERYWHERE))
    listener.bind((address, port))
    listener.listen(BACKLOG)


def _explained(error: OSError, address: str, port: int) -> EngineError:
    if address == _EVERYWHERE and error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
        return _NoIPv6Error("this host has no IPv6")
    number = error.errno or 0
    reason = _REASONS.get(number, "port {port} cannot be opened: " + os.strerror(number))
    kind = EnginePortTaken if number == errno.EADDRINUSE else EngineError
    return kind(reason.format(port=port, address=address))
