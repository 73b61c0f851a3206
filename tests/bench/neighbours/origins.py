"""A destination that is hostile on demand, run as a process; it prints its port, and ends with its standard input."""

import select
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import MappingProxyType

PIECE = 262_144
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def ok(peer: socket.socket) -> None:
    peer.sendall(OK)


def chunks(peer: socket.socket) -> None:
    """Tiny ones, without end."""
    peer.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        peer.sendall(b"1\r\nX\r\n1;x\r\nX\r\n" * 5_000)


def lines(peer: socket.socket) -> None:
    """As many as a head has room for."""
    peer.sendall(b"HTTP/1.1 200 OK\r\n" + b"a:b\r\n" * 12_000 + b"Content-Length: 0\r\n\r\n")


def interim(peer: socket.socket) -> None:
    """Without end."""
    while True:
        peer.sendall(b"HTTP/1.1 102 Processing\r\n\r\n" * 1_000)


def big(peer: socket.socket) -> None:
    """More than anybody reads."""
    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
    while True:
        peer.sendall(b"x" * PIECE)


PAGES: Mapping[bytes, Callable[[socket.socket], None]] = MappingProxyType(
    {b"/ok": ok, b"/chunks": chunks, b"/lines": lines, b"/interim": interim, b"/big": big}
)


def session(peer: socket.socket) -> None:
    with suppress(OSError), peer:
        while data := peer.recv(PIECE):
            if data.startswith(b"GET "):
                for request in data.split(b"GET ")[1:]:
                    PAGES.get(request.split(b" ", 1)[0], ok)(peer)
            else:
                while peer.recv(PIECE):
                    pass


def answer_datagrams(way: socket.socket) -> None:
    while True:
        data, sender = way.recvfrom(65_536)
        with suppress(OSError):
            way.sendto(data, sender)


def main() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=500) as listener:
        port = listener.getsockname()[1]
        way = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        way.bind(("127.0.0.1", port))
        threading.Thread(target=answer_datagrams, args=(way,), daemon=True).start()
        print(port, flush=True)
        while True:
            ready, _, _ = select.select([listener, sys.stdin], (), ())
            if sys.stdin in ready:
                return
            peer, _ = listener.accept()
            threading.Thread(target=session, args=(peer,), daemon=True).start()


if __name__ == "__main__":
    main()
