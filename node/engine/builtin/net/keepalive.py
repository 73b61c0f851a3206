"""Keep-alive probes for peers that stay silent."""

import socket
from _socket import socket as Socket  # noqa: N812 (the base class; the wrapper of the library costs 3 us a connection)

_IDLE_S = 600
"""Silence before the first probe; a peer that does not answer is given up after nine more, 75 s apart (tcp(7))."""


def probe(sock: Socket) -> None:
    """Enable probes on a connection, or on a listener, whose connections inherit them. Data that is sent and not
    acknowledged has its own limit, about a quarter of an hour (tcp_retries2)."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _IDLE_S)
