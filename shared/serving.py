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
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound
