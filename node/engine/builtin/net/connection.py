"""One end of a connection: a non-blocking socket, what waits to be sent on it, and what epoll watches for."""

import errno
import os
import select
import socket
import struct
from _socket import socket as Socket  # noqa: N812 (the base class; the wrapper of the library costs 3 us a connection)

from node.engine.builtin.net.keepalive import probe
from node.engine.builtin.net.pipe_pool import PIPE, Pipe
from node.engine.builtin.net.reactor import BUFFER, Reactor, Stage
from node.engine.builtin.policy.bulk_detection import BULK_BATCH, BulkDetector

IN, OUT = int(select.EPOLLIN), int(select.EPOLLOUT)
GONE = int(select.EPOLLHUP | select.EPOLLERR)
FAILED = int(select.EPOLLERR)
ENDING = int(select.EPOLLRDHUP)
UNUSUAL = IN | FAILED | int(select.EPOLLPRI)
"""Of an event in which there is something to read and nothing else to heed, these bits are IN alone."""

EDGE = IN | OUT | ENDING | int(select.EPOLLPRI | select.EPOLLET)
"""How a wire is watched from its connect on until something has to wait: told once of each change, which costs no call
more. Whoever is told has to read all there is, or to `watch`. Urgent data would stop a read half-way (tcp(7)), so they
are told of."""

BULK = 32768
"""Bytes at once from which on a wire is spliced; when less than a quarter of it came often enough, it is read again."""
_STAMINA = 16
"""So often: small pieces come in between, since a sender waits for room."""

LAST = socket.MSG_MORE
"""For what is sent right before a half-close or a close: both travel in one packet."""

UNWATCHED = -1
_RESET = struct.pack("ii", 1, 0)
_SPLICE = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK
_UNABLE = frozenset({errno.EINVAL, errno.ENOSYS})


class Connection:
    """`ended`: nothing more comes from the other side. `shut`: nothing more goes to it.

    What waits to be sent is in `pipe`, then in `pending`. `bulk`: what comes from here is spliced, and may be small so
    often before it no longer is. `flow`: how fast. `held`: nothing is read until the proxy's pace allows it.
    """

    __slots__ = ("bulk", "ended", "fd", "flow", "held", "mask", "pending", "pipe", "reactor", "shut", "sock")

    def __init__(self, reactor: Reactor, sock: Socket) -> None:
        self.reactor = reactor
        self.sock = sock
        self.fd = sock.fileno()
        self.mask = UNWATCHED
        self.pending = b""
        self.pipe: Pipe | None = None
        self.flow: BulkDetector | None = None
        self.bulk = 0
        self.held = False
        self.ended = False
        self.shut = False

    @property
    def waiting(self) -> int:
        """Bytes that the receiver has not taken yet."""
        return len(self.pending) + (self.pipe.held if self.pipe is not None else 0)

    def belong(self, stage: Stage) -> None:
        """Events on this wire are this stage's from now on."""
        self.reactor.stages[self.fd] = stage

    def join(self, stage: Stage, mask: int) -> None:
        """The first stage of this wire, and the first watch."""
        reactor, fd = self.reactor, self.fd
        reactor.stages[fd] = stage
        reactor.epoll.register(fd, mask)
        self.mask = mask

    def watch(self, mask: int) -> None:
        """Level-triggered; costs a system call only when something changes."""
        if mask != self.mask:
            if self.mask == UNWATCHED:
                self.reactor.epoll.register(self.fd, mask)
            else:
                self.reactor.epoll.modify(self.fd, mask)
            self.mask = mask

    def unwatch(self) -> None:
        """Hang-ups are reported whether asked for or not; this silences them too."""
        if self.mask != UNWATCHED:
            self.reactor.epoll.unregister(self.fd)
            self.mask = UNWATCHED

    def receive(self, most: int = BUFFER) -> int:
        """Bytes now in the reactor's buffer, -1 when there is nothing to read yet; 0 is the end. Raises OSError."""
        try:
            count = self.sock.recv_into(self.reactor.buffer, most)
        except BlockingIOError:
            return -1
        if not count:
            self.ended = True
        elif count >= BULK:
            self.bulk = _STAMINA
        return count

    def pass_to(self, there: "Connection", most: int = PIPE) -> int:
        """Bytes taken from here for another wire, on which nothing may wait; what it does not take now waits there.

        -1 when there is nothing to read yet; 0 is the end. Raises OSError.
        """
        if self.bulk and there.take_pipe():
            count = self.fill(there, most)
            pipe = there.pipe
            if pipe is not None:
                try:
                    gone = os.splice(pipe.read, there.fd, count, None, None, _SPLICE)
                except BlockingIOError:
                    return count
                pipe.held = count - gone
                if not pipe.held:
                    there.pipe = None
                    self.reactor.pipes.give(pipe)
            return count
        count = self.receive(most if most < BUFFER else BUFFER)
        if count > 0:
            there.send(self.reactor.view[:count])
        return count

    def take_pipe(self) -> bool:
        """Whether there is one that can be filled for this wire."""
        self.pipe = self.reactor.pipes.take()
        return self.pipe is not None

    def fill(self, there: "Connection", most: int) -> int:
        """As `pass_to`, but everything waits in the pipe that the other wire has taken."""
        pipe = there.pipe
        if pipe is None:
            return -1
        try:
            count = os.splice(self.fd, pipe.write, most, None, None, _SPLICE)
        except BlockingIOError:
            count = -1
        except OSError as error:
            there.give_pipe()
            if error.errno not in _UNABLE:
                raise
            self.reactor.pipes.forbid()
            return -1
        if count > 0:
            pipe.held = count
            self.bulk = _STAMINA if count * 4 >= BULK else self.bulk - 1
        else:
            self.ended = not count
            there.give_pipe()
        return count

    def give_pipe(self) -> None:
        """Back to the others, with all that is in it."""
        if self.pipe is not None:
            self.reactor.pipes.give(self.pipe)
            self.pipe = None

    def gather(self, count: int) -> None:
        """Told of each piece that is passed on: of a fast stream the kernel tells only when there is much, or the end
        (socket(7), SO_RCVLOWAT). `scatter` is called when it pauses."""
        reactor = self.reactor
        flow = self.flow = self.flow or BulkDetector(reactor.now)
        if flow.is_fast(count, reactor.now):
            reactor.gathering.add(self, reactor.now)
            if not flow.is_batching:
                flow.is_batching = True
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, BULK_BATCH)
        elif flow.is_batching:
            self.scatter()

    def scatter(self) -> None:
        """Whatever comes is told of again, and what is there already."""
        if self.flow is not None and self.flow.is_batching and self.fd >= 0:
            self.flow.begin(self.reactor.now)
            self.reactor.gathering.discard(self)
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)

    def send(self, data: bytes | memoryview, flags: int = 0) -> int:
        """Sends what the receiver takes and keeps the rest; bytes that went out. Raises OSError."""
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
        """Sends what was kept; bytes of it that went out. Raises OSError."""
        gone = 0
        try:
            if self.pipe is not None:
                gone = self._drain(self.pipe)
            if self.pending and self.pipe is None:
                sent = self.sock.send(self.pending)
                self.pending = self.pending[sent:]
                gone += sent
        except BlockingIOError:
            pass
        return gone

    def _drain(self, pipe: Pipe) -> int:
        gone = os.splice(pipe.read, self.fd, pipe.held, None, None, _SPLICE)
        pipe.held -= gone
        if not pipe.held:
            self.give_pipe()
        return gone

    def forget(self) -> None:
        """What waits is not sent."""
        self.pending = b""
        self.give_pipe()

    def stay(self) -> None:
        """Asks for what only a connection that lasts needs. What was held back of the handshake is sent without data:
        the other side may be one that speaks first. And one that vanishes is found out."""
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        probe(self.sock)

    def finish(self) -> None:
        """Tells the other side that nothing more comes. Raises OSError."""
        if not self.shut:
            self.shut = True
            self.sock.shutdown(socket.SHUT_WR)

    def drop(self) -> None:
        """Closed at the end of the batch; dropped again it does nothing, for its number may be another's by then."""
        fd = self.fd
        if fd >= 0:
            self.fd = -1
            if self.pipe is not None:
                self.give_pipe()
            reactor = self.reactor
            reactor.stages.pop(fd, None)
            reactor.closing.append(self.sock)

    def reset(self) -> None:
        """Closed so that the other side sees a reset and cannot take what it got for the whole."""
        if self.fd >= 0:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.drop()
