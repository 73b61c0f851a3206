"""What came back of a handover that came to nothing, and of which another process may have copies for a while."""

import socket
from _socket import socket as Socket  # noqa: N812 (the base class; the wrapper of the library costs 3 us a connection)
from contextlib import suppress
from select import epoll


class Reclaimed(Socket):
    """Its end here is its end, whoever has copies.

    As long as one is open, close(2) neither ends the connection nor makes epoll forget the descriptor (epoll(7)), whose
    number is somebody else's soon. What is to be reset is reset with the last copy: an end would be taken for a proper
    one.
    """

    __slots__ = ("_epoll",)

    def __init__(self, watched: epoll, sock: Socket) -> None:
        """In the place of `sock`, which is of no use afterwards."""
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
    """Here alone: another process goes on with it."""
    Socket.close(sock)
