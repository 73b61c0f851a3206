"""An HTTP server as one task of a program's own group."""

import socket
from contextlib import nullcontext
from typing import Any

import uvicorn


class Server(uvicorn.Server):
    """Leaves signals to the program."""

    def capture_signals(self) -> Any:
        """Catch nothing."""
        return nullcontext()


def bound_socket(host: str, port: int) -> socket.socket:
    """A socket bound to this literal address, not listening yet. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only where the protocol is named: a head and its body would wait 40 ms.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound
