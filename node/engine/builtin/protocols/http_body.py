"""Finds the end of a message body while its bytes pass through, without storing them.

Chunks are rewritten in one canonical form, so that no two readers behind this proxy can disagree.
"""

import re
from typing import Protocol

from node.engine.builtin.protocols.http_fields import CHUNKED, FRAMING, HOP_BY_HOP, NO_BODY, TOKEN, UNTIL_CLOSE

_MAX_LINE = 4096
_MAX_TRAILERS = 16384
_CHUNK_LINE = re.compile(rb"(?=[0-9A-Fa-f])0*+([0-9A-Fa-f]{0,15})(?:;[^\x00-\x08\x0a-\x1f\x7f]*+)?\r\n")
_PADDED_CHUNK_LINE = re.compile(rb"(?=[0-9A-Fa-f])0*+([0-9A-Fa-f]{0,15})[ \t]*+(?:;[^\x00-\x08\x0a-\x1f\x7f]*+)?\r\n")
_TRAILER_LINE = re.compile(rb"(" + TOKEN + rb"):[^\x00-\x08\x0a-\x1f\x7f]*+\r\n")
_STRAY = re.compile(rb"\x00|\r(?!\n)|(?<!\r)\n")
_NO_TRAILER = HOP_BY_HOP | FRAMING | {b"host"}

MAX_CHUNKS = 128
"""Chunks and lines parsed one by one in a single call; runs of tiny chunks are matched as a whole."""


def _tiny_chunk(size: int) -> bytes:
    """A pattern that matches a chunk of this size without extensions."""
    digit = b"%x" % size
    either = digit if digit.isdigit() else b"[%b%b]" % (digit, digit.upper())
    return either + rb"\r\n[\x00-\xff]{%d}\r\n" % size


_TINY_CHUNKS = re.compile(rb"(?:" + b"|".join(_tiny_chunk(size) for size in range(1, 16)) + rb")*+")
"""A run of chunks of one to fifteen bytes: 25 ns a chunk, instead of 600 or more when they are parsed one by one."""

_SIZE, _DATA, _DATA_END, _TRAILERS = range(4)


ENDLESS = 1 << 62


def _run_end(data: bytes | bytearray, start: int, end: int) -> int:
    """The end of a run of tiny chunks that begins at `start`; 0 if there is none."""
    run = _TINY_CHUNKS.match(data, start, end)
    return run.end() if run is not None and run.end() > start else 0


class MessageBody(Protocol):
    """Follows one message body.

    `feed` returns the end of the bytes of `data[start:end]` that belong to the body; do not call it after `broken`. It
    stops early after a bounded number of chunks: as long as the body is not `done`, feed it the rest.

    Afterwards `out` holds the bytes to forward instead of those just fed, or None to forward them unchanged. `rest`
    holds the bytes that complete the body if its sender closes now, or None if the body would be incomplete.

    The next `span` bytes are content only, so they may be forwarded unread; `skip` records how many were.
    """

    @property
    def done(self) -> bool: ...

    @property
    def broken(self) -> bool: ...

    @property
    def span(self) -> int: ...

    @property
    def out(self) -> bytes | None: ...

    @property
    def rest(self) -> bytes | None: ...

    def feed(self, data: bytes | bytearray, start: int, end: int) -> int: ...

    def skip(self, count: int) -> None: ...


def body_of(framing: int, *, lenient: bool = False, bare: bool = False) -> MessageBody:
    """Create a follower for a length in bytes or one of the other framings. `lenient` accepts more of what origins
    send; `bare` removes the chunked coding for receivers that cannot read it."""
    if framing in (0, NO_BODY):
        return NOTHING
    if framing == CHUNKED:
        return ChunkedBody(lenient=lenient, bare=bare)
    return EndlessBody() if framing == UNTIL_CLOSE else LengthBody(framing)


class LengthBody:
    """A body of a known number of bytes."""

    __slots__ = ("broken", "done", "left")

    out: bytes | None = None
    rest: bytes | None = None

    def __init__(self, length: int) -> None:
        self.left = length
        self.done = not length
        self.broken = False

    def feed(self, data: bytes | bytearray, start: int, end: int) -> int:
        taken = min(self.left, end - start)
        self.skip(taken)
        return start + taken

    @property
    def span(self) -> int:
        return self.left

    def skip(self, count: int) -> None:
        self.left -= count
        self.done = not self.left


NOTHING = LengthBody(0)
"""The body of a message without one."""


class EndlessBody:
    """A body that ends when its connection is closed."""

    __slots__ = ("broken", "done", "span")

    out: bytes | None = None
    rest: bytes | None = b""

    def __init__(self) -> None:
        self.done = False
        self.broken = False
        self.span = ENDLESS

    def feed(self, data: bytes | bytearray, start: int, end: int) -> int:
        return end

    def skip(self, count: int) -> None:
        """Does nothing: this body has no length."""


class ChunkedBody:
    """The chunked coding (RFC 9112 §7.1), parsed strictly. Bare LF, control characters, sizes of more than 60 bits and
    trailer fields that could change the meaning of the message make it `broken`.

    Sizes are forwarded without leading zeros, blanks and extensions, and lines only once they are complete. `lenient`:
    blanks after a size are ignored, unsuitable trailer lines are left out, and the last empty line may be missing.
    `bare`: only the content is forwarded.
    """

    __slots__ = ("_bare", "_lenient", "broken", "done", "left", "line", "out", "state", "trailer_lines", "trailers")

    def __init__(self, *, lenient: bool = False, bare: bool = False) -> None:
        self._lenient = lenient
        self._bare = bare
        self.done = False
        self.broken = False
        self.state = _SIZE
        self.left = 0
        self.line = b""
        self.out: bytes | None = None
        self.trailers = 0

    def feed(self, data: bytes | bytearray, start: int, end: int) -> int:
        """See `MessageBody`. `kept` is the start of the unchanged bytes that are not in `pieces` yet."""
        pieces, kept, steps = list[bytes | bytearray](), start, 3 * MAX_CHUNKS
        while start < end and steps and not self.done and not self.broken:
            steps -= 1
            if self.state == _DATA:
                start = self._pass(start, end)
            elif self.state == _SIZE and not (self.line or self._bare) and (stop := _run_end(data, start, end)):
                start = stop
            else:
                begin, whole = start, not self.line
                start, line = self._collect(data, start, end)
                written = self._read(line) if line else b""
                if written != line or not (line and whole):
                    pieces += data[kept:begin], written
                    kept = start
        self.out = b"".join([*pieces, data[kept:start]]) if pieces else None
        return start

    @property
    def span(self) -> int:
        return self.left if self.state == _DATA else 0

    @property
    def rest(self) -> bytes | None:
        if not self._lenient or self.state != _TRAILERS or self.line:
            return None
        return b"" if self._bare else b"\r\n"

    def skip(self, count: int) -> None:
        self.left -= count
        if not self.left:
            self.state = _DATA_END

    def _pass(self, start: int, end: int) -> int:
        taken = min(self.left, end - start)
        self.skip(taken)
        return start + taken

    def _collect(self, data: bytes | bytearray, start: int, end: int) -> tuple[int, bytes]:
        """The end of the line, which may arrive in pieces, and the line, empty until it is complete."""
        stop = data.find(b"\n", start, end) + 1
        self.line += data[start : stop or end]
        if len(self.line) > _MAX_LINE or (self.state == _DATA_END and not b"\r\n".startswith(self.line)):
            self.broken = True
            return stop or end, b""
        if not stop:
            return end, b""
        line, self.line = self.line, b""
        return stop, line

    def _read(self, line: bytes) -> bytes:
        """The bytes to forward instead of the line."""
        if self.state == _SIZE:
            written = self._read_size(line)
        elif self.state == _DATA_END:
            self.state, written = _SIZE, line
        elif line == b"\r\n":
            self.done, written = True, line
        else:
            written = self._read_trailer(line)
        return b"" if self._bare else written

    def _read_size(self, line: bytes) -> bytes:
        form = (_PADDED_CHUNK_LINE if self._lenient else _CHUNK_LINE).fullmatch(line)
        if form is None:
            self.broken = True
            return b""
        self.left = int(form[1] or b"0", 16)
        self.state = _DATA if self.left else _TRAILERS
        written = b"%x\r\n" % self.left
        return line if len(line) == len(written) else written

    def _read_trailer(self, line: bytes) -> bytes:
        form = _TRAILER_LINE.fullmatch(line)
        self.trailers += len(line)
        unfit = form is None or form[1].lower() in _NO_TRAILER
        readable = self._lenient and not _STRAY.search(line)
        self.broken = self.trailers > _MAX_TRAILERS or (unfit and not readable)
        return b"" if unfit else line
