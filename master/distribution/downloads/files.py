"""Sends a file, or the part of it that was asked for, piece by piece."""

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import BinaryIO

from master.distribution.downloads.ranges import Selection, select
from shared.asgi import Receive, Scope, Send

PIECE = 65_536


@dataclass(frozen=True, slots=True)
class Content:
    """A readable file of `size` bytes. `etag` has its quotation marks; it names these bytes and no others."""

    file: BinaryIO
    size: int
    etag: str
    media_type: str

    @classmethod
    def of(cls, raw: bytes, media_type: str) -> "Content":
        """Make a content of bytes at hand."""
        return cls(io.BytesIO(raw), len(raw), f'"{hashlib.sha256(raw).hexdigest()}"', media_type)

    def close(self) -> None:
        """Close the file."""
        self.file.close()


async def send_content(content: Content, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a GET or HEAD. Ends early when the client has hung up."""
    selection = selected(content, scope)
    await send({"type": "http.response.start", "status": selection.status, "headers": headers(content, selection)})
    if scope["method"] == "HEAD" or selection.start == selection.stop:
        await send({"type": "http.response.body", "body": b""})
        return
    async with asyncio.TaskGroup() as group:
        sending = group.create_task(send_pieces(content, selection, send))
        watching = group.create_task(hung_up(receive))
        await asyncio.wait((sending, watching), return_when=asyncio.FIRST_COMPLETED)
        sending.cancel()
        watching.cancel()


def selected(content: Content, scope: Scope) -> Selection:
    """Decide by the fields of the request. A range counts for GET alone (RFC 9110 §14.2)."""
    fields = {name: value.decode("latin-1") for name, value in reversed(scope["headers"])}
    return select(
        content.size,
        content.etag,
        if_none_match=fields.get(b"if-none-match"),
        range_=fields.get(b"range") if scope["method"] == "GET" else None,
        if_range=fields.get(b"if-range"),
    )


def headers(content: Content, selection: Selection) -> list[tuple[bytes, bytes]]:
    """Return the fields of the answer."""
    found = {"etag": content.etag, "cache-control": "no-cache", "accept-ranges": "bytes"}
    match selection.status:
        case 304:
            return encoded(found)
        case 416:
            found |= {"content-range": f"bytes */{content.size}"}
        case 206:
            found |= {"content-range": f"bytes {selection.start}-{selection.stop - 1}/{content.size}"}
        case 200:
            pass
    found |= {"content-type": content.media_type, "content-length": str(selection.stop - selection.start)}
    return encoded({**found, "x-content-type-options": "nosniff"})


def encoded(fields: dict[str, str]) -> list[tuple[bytes, bytes]]:
    """Write fields as ASGI has them."""
    return [(name.encode(), value.encode("latin-1")) for name, value in fields.items()]


async def send_pieces(content: Content, selection: Selection, send: Send) -> None:
    """Send the selected bytes. A file that became shorter ends the connection, so that the client notices."""
    async for piece, is_last in pieces(content, selection):
        await send({"type": "http.response.body", "body": piece, "more_body": not is_last})


async def pieces(content: Content, selection: Selection) -> AsyncIterator[tuple[bytes, bool]]:
    """Read the selected bytes, outside of the event loop."""
    left = selection.stop - selection.start
    await asyncio.to_thread(content.file.seek, selection.start)
    while left:
        piece = await asyncio.to_thread(content.file.read, min(PIECE, left))
        if not piece:
            return
        left -= len(piece)
        yield piece, left == 0


async def hung_up(receive: Receive) -> None:
    """Wait until the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
