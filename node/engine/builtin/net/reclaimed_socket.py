"""Sockets kept after a failed handover, while another process may still have copies of them."""

import socket
from _socket import socket as Socket  # noqa: N812 (the base class; the wrapper of the library costs 3 us a connection)
from contextlib import suppress
from select import epoll


class Reclaimed(Socket):
    """A socket whose close is final even if other processes have copies.

    While a copy is open, close(2) neither ends the connection nor removes the descriptor from epoll (epoll(7)), and its
    number is reused soon. A connection to be reset is reset only with the last copy: a shutdown would look like a
    regular end.
    """

    __slots__ = ("_epoll",)

    def __init__(self, watched: epoll, sock: Socket) -> None:
        """Replace `sock`, which must not be used afterwards."""
        family, kind = sock.family, sock.type
        super().__init__(family, kind, 0, sock.detach())
        self.setblocking(False)
        self._epoll = watched

    def close(self) -> None:
        fd = self.fileno()
        if fd >= 0:
            with suppress(FileNotFoundError):
                self._epoll.unregister(fd)
            if not self.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER):
                with suppress(OSError):
                    self.shutdown(socket.SHUT_RDWR)
        super().close()


def close_copy(sock: Socket) -> None:
    """Close this process's copy only: another process continues to use the socket."""
    Socket.close(sock)
