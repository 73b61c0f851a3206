"""One socket of a connection: non-blocking, with its unsent data and the events it is watched for.

Longer than most modules because all of it is the data path: a call into another module would cost each read and write.
"""

import errno
import os
import select
import socket
import struct
from _socket import socket as Socket  # noqa: N812 (the base class; the wrapper of the library costs 3 us a connection)

from node.engine.builtin.net.keepalive import probe
from node.engine.builtin.net.pipe_pool import PIPE, Pipe
from node.engine.builtin.net.reactor import BUFFER, Reactor
from node.engine.builtin.net.stage import Stage
from node.engine.builtin.policy.bulk_detection import BULK_BATCH, BulkDetector

IN, OUT = int(select.EPOLLIN), int(select.EPOLLOUT)
GONE = int(select.EPOLLHUP | select.EPOLLERR)
FAILED = int(select.EPOLLERR)
ENDING = int(select.EPOLLRDHUP)
UNUSUAL = IN | FAILED | int(select.EPOLLPRI)
"""If an event has only EPOLLIN of these bits, there is data to read and nothing else to handle."""

EDGE = IN | OUT | ENDING | int(select.EPOLLPRI | select.EPOLLET)
"""How a connection is watched from connect(2) until something has to wait: edge-triggered, which saves calls. A handler
has to read everything there is, or to call `watch`. Urgent data are reported too, because they would stop a read
half-way (tcp(7))."""

BULK = 32768
"""A read of this many bytes switches a connection to splice(2); it switches back after several reads of less than a
quarter."""
_SMALL_READS = 16
"""The number of such small reads; some occur in a fast stream too, when its sender waits for room."""

LAST = socket.MSG_MORE
"""For data sent right before a half-close or a close: both travel in one packet."""

UNWATCHED = -1
_RESET = struct.pack("ii", 1, 0)
_SPLICE = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK
_UNABLE = frozenset({errno.EINVAL, errno.ENOSYS})


class Connection:
    """A connected socket. Unsent data are in `pipe`, then in `pending`."""

    __slots__ = ("bulk", "detector", "ended", "fd", "mask", "paused", "pending", "pipe", "reactor", "shut", "sock")

    def __init__(self, reactor: Reactor, sock: Socket) -> None:
        self.reactor = reactor
        self.sock = sock
        self.fd = sock.fileno()
        """-1 once the connection is closed."""
        self.mask = UNWATCHED
        self.pending = b""
        self.pipe: Pipe | None = None
        self.detector: BulkDetector | None = None
        self.bulk = 0
        """Reads with splice(2) that may be small before plain reads resume; 0 for plain reads."""
        self.paused = False
        """Nothing is read until the rate limit allows it."""
        self.ended = False
        """The other side sends nothing more."""
        self.shut = False
        """Nothing more is sent to the other side."""

    @property
    def waiting(self) -> int:
        """Bytes that the receiver has not taken yet."""
        return len(self.pending) + (self.pipe.buffered if self.pipe is not None else 0)

    def hand_to(self, stage: Stage) -> None:
        """Have this stage handle the events from now on."""
        self.reactor.stages[self.fd] = stage

    def register(self, stage: Stage, mask: int) -> None:
        """Set the first stage and the first event mask."""
        reactor, fd = self.reactor, self.fd
        reactor.stages[fd] = stage
        reactor.epoll.register(fd, mask)
        self.mask = mask

    def watch(self, mask: int) -> None:
        """Watch for these events, level-triggered; a system call is made only if the mask changes."""
        if mask != self.mask:
            if self.mask == UNWATCHED:
                self.reactor.epoll.register(self.fd, mask)
            else:
                self.reactor.epoll.modify(self.fd, mask)
            self.mask = mask

    def unwatch(self) -> None:
        """Watch for nothing, not even for hang-ups, which a mask of zero would still report."""
        if self.mask != UNWATCHED:
            self.reactor.epoll.unregister(self.fd)
            self.mask = UNWATCHED

    def receive(self, most: int = BUFFER) -> int:
        """Read into the reactor's buffer. Returns the number of bytes, 0 at the end, -1 if there is nothing to read
        yet.

        Raises OSError.
        """
        try:
            count = self.sock.recv_into(self.reactor.buffer, most)
        except BlockingIOError:
            return -1
        if not count:
            self.ended = True
        elif count >= BULK:
            self.note_bulk()
        return count

    def note_bulk(self) -> None:
        """Use splice(2) for the next reads."""
        self.bulk = _SMALL_READS

    def relay_to(self, there: "Connection", most: int = PIPE) -> int:
        """Move bytes to another connection, which must have no unsent data; bytes that it does not take now wait there.

        Returns the number of bytes, 0 at the end, -1 if there is nothing to read yet. Raises OSError.
        """
        if self.bulk and there.take_pipe():
            count = self.fill(there, most)
            pipe = there.pipe
            if pipe is not None:
                try:
                    sent = os.splice(pipe.read, there.fd, count, None, None, _SPLICE)
                except BlockingIOError:
                    return count
                pipe.buffered = count - sent
                if not pipe.buffered:
                    there.pipe = None
                    self.reactor.pipes.put_back(pipe)
            return count
        count = self.receive(most if most < BUFFER else BUFFER)
        if count > 0:
            there.send(self.reactor.view[:count])
        return count

    def take_pipe(self) -> bool:
        """Get a pipe to fill for this connection; False if there is none."""
        self.pipe = self.reactor.pipes.take()
        return self.pipe is not None

    def fill(self, there: "Connection", most: int) -> int:
        """As `relay_to`, but all bytes stay in the pipe that the other connection has taken."""
        pipe = there.pipe
        if pipe is None:
            return -1
        try:
            count = os.splice(self.fd, pipe.write, most, None, None, _SPLICE)
        except BlockingIOError:
            count = -1
        except OSError as error:
            there.release_pipe()
            if error.errno not in _UNABLE:
                raise
            self.reactor.pipes.disable()
            return -1
        if count > 0:
            pipe.buffered = count
            self.bulk = _SMALL_READS if count * 4 >= BULK else self.bulk - 1
        else:
            self.ended = not count
            there.release_pipe()
        return count

    def release_pipe(self) -> None:
        """Return the pipe to the pool; bytes in it are lost."""
        if self.pipe is not None:
            self.reactor.pipes.put_back(self.pipe)
            self.pipe = None

    def detect_bulk(self, count: int) -> None:
        """Count a piece that was relayed. When the stream is fast, the kernel reports data only when there is much of
        it, or at the end (socket(7), SO_RCVLOWAT); `stop_batching` is called when the stream pauses."""
        reactor = self.reactor
        detector = self.detector = self.detector or BulkDetector(reactor.now)
        if detector.is_fast(count, reactor.now):
            reactor.batching.add(self, reactor.now)
            if not detector.is_batching:
                detector.is_batching = True
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, BULK_BATCH)
        elif detector.is_batching:
            self.stop_batching()

    def stop_batching(self) -> None:
        """Have all data reported at once again, including data that has already arrived."""
        if self.detector is not None and self.detector.is_batching and self.fd >= 0:
            self.detector.begin(self.reactor.now)
            self.reactor.batching.discard(self)
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)

    def send(self, data: bytes | memoryview, flags: int = 0) -> int:
        """Send what the receiver takes and keep the rest. Returns the number of bytes sent. Raises OSError."""
        if self.pending or self.pipe is not None:
            self.pending += data
            return 0
        try:
            sent = self.sock.send(data, flags)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            self.pending = bytes(data[sent:])
        return sent

    def flush(self) -> int:
        """Send data that was kept. Returns the number of bytes sent. Raises OSError."""
        total = 0
        try:
            if self.pipe is not None:
                total = self._drain(self.pipe)
            if self.pending and self.pipe is None:
                sent = self.sock.send(self.pending)
                self.pending = self.pending[sent:]
                total += sent
        except BlockingIOError:
            pass
        return total

    def _drain(self, pipe: Pipe) -> int:
        sent = os.splice(pipe.read, self.fd, pipe.buffered, None, None, _SPLICE)
        pipe.buffered -= sent
        if not pipe.buffered:
            self.release_pipe()
        return sent

    def discard_pending(self) -> None:
        """Drop unsent data."""
        self.pending = b""
        self.release_pipe()

    def keep_alive(self) -> None:
        """Enable what only a lasting connection needs. The delayed acknowledgement of the handshake is sent even
        without data, since the other side may be one that speaks first; and keep-alive detects a peer that vanishes."""
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        probe(self.sock)

    def finish(self) -> None:
        """Half-close: nothing more is sent. Raises OSError."""
        if not self.shut:
            self.shut = True
            self.sock.shutdown(socket.SHUT_WR)

    def drop(self) -> None:
        """Close the socket at the end of the batch. Calling it again does nothing, because the descriptor number may
        have been reused."""
        fd = self.fd
        if fd >= 0:
            self.fd = -1
            if self.pipe is not None:
                self.release_pipe()
            reactor = self.reactor
            reactor.stages.pop(fd, None)
            reactor.closing.append(self.sock)

    def reset(self) -> None:
        """Close with a reset, so that the other side cannot take what it received for complete."""
        if self.fd >= 0:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.drop()
