"""Sockets that carry a client's bytes inside TLS, without ever blocking."""

import socket
from _socket import socket as Socket  # noqa: N812 (the base class; the wrapper of the library costs 3 us a connection)
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from node.engine.builtin.net.tls import TlsServer

RECORD = 16384
"""The most bytes in a record (RFC 8446 §5.1)."""
CIPHERTEXT = 16645
"""Encrypted bytes read at once: a record with its header and its overhead (RFC 8446 §5.2). What a client may send
besides data, such as new keys, costs much more time for each byte."""
BULK_CIPHERTEXT = 49152
"""The same of a client that sends much. With an incomplete record from before, they hold at most 64 KiB."""
RECORDS = 64
"""Records decrypted at once, since they may be tiny; the rest waits for the proxy's next turn."""


class TlsSocket(Socket):
    """A client's socket whose `recv`, `recv_into` and `send` carry the bytes inside TLS.

    Nothing blocks: what cannot be done yet raises BlockingIOError. After that, `send` has to be repeated with the same
    bytes, to which more may have been added: they are encrypted already, and count as sent when the kernel has taken
    all of them. `on_readable` is called after a read that has left something which the kernel will not report.
    """

    __slots__ = (
        "_encrypted",
        "_failure",
        "_goodbye",
        "_has_ended",
        "_incoming",
        "_kept",
        "_most",
        "_outgoing",
        "_ssl",
        "_wants_more",
        "is_broken",
        "on_readable",
        "readable",
        "unsent",
    )

    def __init__(self, server: TlsServer, sock: Socket, on_readable: Callable[[], None]) -> None:
        """Replace `sock`, which must not be used afterwards."""
        super().__init__(sock.family, socket.SOCK_STREAM, 0, sock.detach())
        self.setblocking(False)
        self.on_readable: Callable[[], None] | None = on_readable
        self._ssl, self._incoming, self._outgoing = server.wrap()
        self._wants_more, self._has_ended = server.wants_more, server.has_ended
        self._kept = b""
        """Decrypted bytes that were not asked for yet: all of a record is decrypted at once."""
        self._most = CIPHERTEXT
        self._encrypted = 0
        """Bytes of the next `send` that are in `unsent` already."""
        self._failure: OSError | None = None
        self._goodbye = False
        """The end was announced."""
        self.unsent = b""
        """Encrypted bytes that the kernel has not taken."""
        self.readable = False
        """Something can be read although the kernel will not report it: bytes, the end, or an error."""
        self.is_broken = False
        """The connection does not end regularly, so its end is not announced."""

    def handshake(self, data: bytes) -> bool:
        """Continue the handshake with received bytes. True once it is complete. Raises OSError."""
        self._incoming.write(data)
        try:
            self._ssl.do_handshake()
        except self._wants_more:
            self._push()
            return False
        except OSError:
            self._give_up()
            raise
        self._push()
        self.readable = self._incoming.pending > 0
        return True

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Read at most one record."""
        if not self.readable:
            self._receive()
        data = self._next()
        if len(data) > bufsize:
            data, self._kept = data[:bufsize], data[bufsize:]
        self._look_ahead(ended=not data)
        return data

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Read as many records as fit. With MSG_TRUNC, encrypted bytes are discarded, and nothing can be read any
        more."""
        if flags:
            self._kept, self.readable = b"", False
            return super().recv_into(buffer, nbytes, flags)
        if not self.readable:
            self._receive()
        view, count, data = memoryview(buffer), 0, self._next()
        for _ in range(RECORDS):
            fitting = data[: nbytes - count]
            view[count : count + len(fitting)] = fitting
            count += len(fitting)
            self._kept = data[len(fitting) :]
            if not data or count == nbytes or not self._has_input:
                break
            try:
                data = self._next()
            except BlockingIOError:
                break
            except OSError as error:
                self._failure = error
                break
        else:
            self._kept = data
        self._most = BULK_CIPHERTEXT if count >= RECORD else CIPHERTEXT
        self._look_ahead(ended=not data)
        return count

    @property
    def _has_input(self) -> bool:
        """Whether encrypted bytes, or the end of them, wait to be decrypted."""
        return self._incoming.pending > 0 or self._incoming.eof

    def _receive(self) -> None:
        """Take encrypted bytes from the kernel. Raises OSError."""
        data = super().recv(self._most)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def _next(self) -> bytes:
        """Decrypt the next record; b"" at the end. An end that was not announced is an error, since anybody may have
        cut the connection (RFC 8446 §6.1). Raises OSError."""
        if self._kept:
            data, self._kept = self._kept, b""
            return data
        if self._failure is not None:
            raise self._failure
        self.readable = False
        data: bytes | None = None
        try:
            data = self._ssl.read(RECORD)
        except self._has_ended:
            # Raised in place of b"" once this side has announced its end, too.
            data = b""
        except self._wants_more:
            pass
        except OSError:
            self._give_up()
            raise
        if self._outgoing.pending and not self.unsent:
            # OpenSSL has refused something, such as a renegotiation.
            self._push()
        if data is None:
            raise BlockingIOError
        return data

    def _look_ahead(self, *, ended: bool) -> None:
        self.readable = ended or bool(self._kept) or self._failure is not None or self._has_input
        if self.readable and self.on_readable is not None:
            self.on_readable()

    def send(self, data: Any, flags: int = 0, /) -> int:
        if self.unsent and not self._push():
            raise BlockingIOError
        if self._encrypted:
            count, self._encrypted = self._encrypted, 0
            return count
        count = self._ssl.write(data)  # pyright: ignore[reportArgumentType] (any buffer will do)
        if not self._push(flags):
            self._encrypted = count
            raise BlockingIOError
        return count

    def push(self) -> None:
        """Send encrypted bytes that were kept. Raises OSError."""
        if self.unsent:
            self._push()

    def say_goodbye(self) -> bool:
        """Announce the end (close_notify), and half-close. False if the kernel's buffer is full. Raises OSError."""
        self._add_goodbye()
        if not self._push():
            return False
        self.shutdown(socket.SHUT_WR)
        return True

    def _add_goodbye(self) -> None:
        """Encrypt the announcement. OpenSSL would go on to read the other side's, and fail at data that comes before
        it, so there must be nothing to read meanwhile."""
        if self._goodbye:
            return
        self._goodbye = True
        unread = self._incoming.read()
        with suppress(OSError):
            self._ssl.unwrap()
        self._incoming.write(unread)

    def _push(self, flags: int = 0) -> bool:
        """Send encrypted bytes. True if none are left. Raises OSError."""
        data = self.unsent + self._outgoing.read() if self.unsent else self._outgoing.read()
        if not data:
            return True
        try:
            sent = super().send(data, flags)
        except BlockingIOError:
            sent = 0
        self.unsent = data[sent:]
        return not self.unsent

    def _give_up(self) -> None:
        """Send an alert, if there is room for it; the connection ends in any case."""
        self.is_broken = True
        with suppress(OSError):
            self._push()

    def close(self) -> None:
        """Announce the end, if there is room for that, and close."""
        self.on_readable = None
        if self.fileno() >= 0 and not self.is_broken:
            with suppress(OSError):
                self._add_goodbye()
                self._push()
        super().close()
