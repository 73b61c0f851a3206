"""Keeps a stranger's undecodable message from cutting the reader's connection off.

The driver reads a message's properties and routing key as UTF-8, times as years that Python knows, and tables one in
another without end; the broker checks none of it. What cannot be read so is blanked out, at the same length: a message
without properties is one that nobody can act on, and is parked.
"""

import asyncio

from pamqp.frame import unmarshal

METHOD, CONTENT_HEADER = 1, 2
DELIVER = b"\x00\x3c\x00\x3c"
"""Class and method of basic.deliver (AMQP 0-9-1 §1.8.3.13)."""
FIXED = 12
"""Bytes of a content header before its property flags (AMQP 0-9-1 §2.3.5.2): class, weight, size of the body."""
HEAD = 7


class RepairingReader(asyncio.StreamReader):
    """A driver's reader in front of another: it reads the 7 bytes of a frame's head, in two goes, then the rest."""

    def __init__(self, source: asyncio.StreamReader) -> None:
        """Read from there."""
        super().__init__()
        self._source, self._head = source, b""

    def at_eof(self) -> bool:
        """Whether nothing more will come."""
        return self._source.at_eof()

    async def read(self, n: int = -1) -> bytes:
        """What is there."""
        return await self._source.read(n)

    async def readexactly(self, n: int) -> bytes:
        """Exactly so many bytes; the rest of a frame in a form that can be decoded."""
        data = await self._source.readexactly(n)
        if len(self._head) < HEAD:
            self._head += data
            return data
        head, self._head = self._head, b""
        return readable(head, data)


def readable(head: bytes, rest: bytes) -> bytes:
    """The payload and end of this frame, blanked out where the driver could not decode them."""
    if head[0] == CONTENT_HEADER or (head[0] == METHOD and rest[:4] == DELIVER):
        try:
            unmarshal(head + rest)
        except Exception:  # noqa: BLE001 (whatever it is, it would end the driver's reader)
            return blanked(head[0], rest)
    return rest


def blanked(kind: int, rest: bytes) -> bytes:
    """A content header without properties, or a delivery whose routing key is ASCII."""
    if kind == CONTENT_HEADER:
        return rest[:FIXED] + bytes(len(rest) - FIXED - 1) + rest[-1:]
    key = 4 + 1 + rest[4] + 8 + 1
    key += 1 + rest[key] + 1
    return rest[:key] + bytes(byte if byte < 0x80 else 0x3F for byte in rest[key:-1]) + rest[-1:]
