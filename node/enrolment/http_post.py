"""Posts one small JSON body to a master and reads its small answer. The other side may be anybody and do anything.

Redirects are not followed, proxies of the environment are not used, and the certificate of an https server is checked
by the system's trust. The whole exchange has one time limit, and the answer one limit of bytes.
"""

import asyncio
import socket
import ssl
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

import h11

POST_S = 20.0
READ_LIMIT = 32_768
"""Bytes of the whole answer, its head and interim answers included."""
BODY_LIMIT = 4_096
CHUNK = 8_192
HAPPY_EYEBALLS_S = 0.25
"""RFC 8305 §8: the wait before the next address of a name is tried beside the first."""


class PostFailed(Exception):
    """No answer, or none that can be read. The reason names no secret and quotes nothing of the answer."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class PostAnswer:
    """An answer. `retry_after_s` is None unless it has a Retry-After in seconds."""

    status: int
    body: bytes
    retry_after_s: int | None


async def post_json(url: str, body: bytes, *, source: str | None = None, limit_s: float = POST_S) -> PostAnswer:
    """Post the body from the local address `source`, None: any. Raises PostFailed."""
    try:
        async with asyncio.timeout(limit_s):
            return await exchange(urlsplit(url), body, source)
    except TimeoutError as error:
        raise PostFailed(f"no answer within {limit_s:.0f} s") from error
    except ssl.SSLCertVerificationError as error:
        raise PostFailed(f"its certificate is not trusted: {error.verify_message}") from error
    except socket.gaierror as error:
        raise PostFailed(f"its name cannot be resolved: {error.strerror}") from error
    except h11.ProtocolError as error:
        raise PostFailed("what answers there is no HTTP server") from error
    except (OSError, UnicodeError) as error:
        raise PostFailed(getattr(error, "strerror", None) or type(error).__name__) from error


async def exchange(parts: SplitResult, body: bytes, source: str | None) -> PostAnswer:
    """Connect, send and receive. Raises PostFailed, OSError, h11.ProtocolError."""
    is_secure = parts.scheme == "https"
    reader, writer = await asyncio.open_connection(
        parts.hostname,
        parts.port or (443 if is_secure else 80),
        ssl=ssl.create_default_context() if is_secure else None,
        local_addr=(source, 0) if source else None,
        happy_eyeballs_delay=HAPPY_EYEBALLS_S,
        limit=READ_LIMIT,
    )
    try:
        connection = h11.Connection(h11.CLIENT)
        for event in (request(parts, body), h11.Data(data=body), h11.EndOfMessage()):
            writer.write(connection.send(event) or b"")
        await writer.drain()
        return await received(connection, reader)
    finally:
        writer.transport.abort()


def request(parts: SplitResult, body: bytes) -> h11.Request:
    """Return the head of the request."""
    headers = {
        "Host": parts.netloc,
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "User-Agent": "maybe-node",
        "Connection": "close",
    }
    return h11.Request(method="POST", target=parts.path or "/", headers=list(headers.items()))


async def received(connection: h11.Connection, reader: asyncio.StreamReader) -> PostAnswer:
    """Receive the answer. Raises PostFailed, OSError, h11.ProtocolError."""
    head: h11.Response | None = None
    body, count = bytearray(), 0
    while True:
        match connection.next_event():
            case h11.NEED_DATA:
                data = await reader.read(CHUNK)
                count += len(data)
                if count > READ_LIMIT:
                    raise PostFailed("its answer is too long")
                connection.receive_data(data)
            case h11.Response() as head:
                pass
            case h11.Data(data=data):
                body += data
                if len(body) > BODY_LIMIT:
                    raise PostFailed("its answer is too long")
            case h11.EndOfMessage() | h11.ConnectionClosed():
                if head is None:
                    raise PostFailed("it closed the connection without an answer")
                return PostAnswer(head.status_code, bytes(body), retry_after(head))
            case _:
                pass


def retry_after(head: h11.Response) -> int | None:
    """Return the seconds of Retry-After; a date is not read."""
    value = next((value for name, value in head.headers if name == b"retry-after"), b"")
    return int(value) if value.isdigit() and len(value) <= 6 else None
