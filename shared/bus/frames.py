"""Repair of AMQP frames that the driver could not decode, so that no message ends the reader's connection.

The driver decodes properties and routing keys as UTF-8, times as years that Python knows, and nested tables without a
limit; the broker checks none of this. An undecodable part is blanked out at the same length. A message without
properties is unreadable for its consumer, which parks it.
"""

import asyncio

from pamqp.frame import unmarshal

METHOD, CONTENT_HEADER = 1, 2
DELIVER = b"\x00\x3c\x00\x3c"
"""Class and method number of basic.deliver (AMQP 0-9-1 §1.8.3.13)."""
CLOSE_NOT_ALLOWED = b"\x00\x0a\x00\x32\x02\x12"
"""Class and method number of connection.close, and reply code 530 (AMQP 0-9-1 §1.4.2.9, §1.2)."""
FIXED = 12
"""Bytes of a content header before its property flags (AMQP 0-9-1 §2.3.5.2): class, weight, size of the body."""
HEAD = 7
"""Bytes of a frame before its payload: type, channel, size."""


class RepairingReader(asyncio.StreamReader):
    """A reader for the driver, which reads the 7 bytes of a frame's head in two calls, and then the rest."""

    def __init__(self, source: asyncio.StreamReader) -> None:

        super().__init__()
        self._source, self._head = source, b""
        self.refusal = ""
        """Why the broker does not let the login into the virtual host."""

    def at_eof(self) -> bool:
        """Whether the source has ended."""
        return self._source.at_eof()

    async def read(self, n: int = -1) -> bytes:
        """Pass bytes on unchanged."""
        return await self._source.read(n)

    async def readexactly(self, n: int) -> bytes:
        """Read exactly `n` bytes; the rest of a frame is repaired."""
        data = await self._source.readexactly(n)
        if len(self._head) < HEAD:
            self._head += data
            return data
        head, self._head = self._head, b""
        self.refusal = refusal_in(head[0], data) or self.refusal
        return readable(head, data)


def refusal_in(kind: int, rest: bytes) -> str:
    """Return the text of a close of the connection with the code NOT_ALLOWED; empty for any other frame."""
    if kind != METHOD or rest[:6] != CLOSE_NOT_ALLOWED:
        return ""
    return rest[7 : 7 + rest[6]].decode(errors="replace") or "not allowed"


def readable(head: bytes, rest: bytes) -> bytes:
    """Return the payload and end of this frame, blanked out where the driver could not decode them."""
    if head[0] == CONTENT_HEADER or (head[0] == METHOD and rest[:4] == DELIVER):
        try:
            unmarshal(head + rest)
        except Exception:  # noqa: BLE001 (any error would end the driver's reader)
            return blanked(head[0], rest)
    return rest


def blanked(kind: int, rest: bytes) -> bytes:
    """Remove the properties of a content header, or make the routing key of a delivery ASCII."""
    if kind == CONTENT_HEADER:
        return rest[:FIXED] + bytes(len(rest) - FIXED - 1) + rest[-1:]
    key = 4 + 1 + rest[4] + 8 + 1
    key += 1 + rest[key] + 1
    return rest[:key] + bytes(byte if byte < 0x80 else 0x3F for byte in rest[key:-1]) + rest[-1:]
