"""HTTP server (uvicorn) as one task of a program's own task group."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import uvicorn


class Server(uvicorn.Server):
    """A server that leaves signals to the program."""

    def capture_signals(self) -> Any:
        """Install no signal handler."""
        return nullcontext()


async def serve(config: uvicorn.Config, listener: socket.socket, on_stop: Callable[[], None] | None = None) -> None:
    """Serve until cancelled, then let requests end within the limit of the configuration. `on_stop` ends streams."""
    server = Server(config)
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(server.serve(sockets=[listener]))
        try:
            await asyncio.shield(serving)
        except asyncio.CancelledError:
            server.should_exit = True
            if on_stop is not None:
                on_stop()
            await serving
            raise


def bound_socket(host: str, port: int) -> socket.socket:
    """Bind a socket to this literal address, without listening yet. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only if the protocol is named; otherwise a body waits 40 ms after its head.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound
