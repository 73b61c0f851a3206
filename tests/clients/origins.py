"""Origins for real clients: HTTP and HTTPS with a certificate of our own, HTTP/2 and WebSocket by hand."""

import asyncio
import base64
import hashlib
import ssl
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

HERE = "127.0.0.1"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SOCKET_KEY = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""Of every WebSocket (RFC 6455, 1.3)."""

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True)
class Certificate:
    """For localhost and 127.0.0.1, signed by itself."""

    chain: Path
    key: Path

    def server(self, *protocols: str) -> ssl.SSLContext:
        """The protocols are those of ALPN (RFC 7301)."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain, self.key)
        if protocols:
            context.set_alpn_protocols(protocols)
        return context

    def client(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.chain)


def certificate(folder: Path) -> Certificate:
    """Written into this folder."""
    made = Certificate(folder / "certificate.pem", folder / "key.pem")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address(HERE))])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, nothing = serialization.Encoding.PEM, serialization.NoEncryption()
    made.chain.write_bytes(signed.public_bytes(pem))
    made.key.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, nothing))
    return made


@asynccontextmanager
async def serving(answer: Answer, context: ssl.SSLContext | None = None) -> AsyncGenerator[int]:
    """The port of an origin."""
    sessions: set[asyncio.StreamWriter] = set()

    async def session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sessions.add(writer)
        with suppress(ConnectionError, EOFError):
            await answer(reader, writer)
        writer.close()
        with suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()
        sessions.discard(writer)

    server = await asyncio.start_server(session, HERE, 0, ssl=context)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for writer in sessions:
        writer.transport.abort()
    async with asyncio.timeout(10):
        while sessions:
            await asyncio.sleep(0.01)


async def answer_sum(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """What was sent comes back, and its SHA-256 before it, in a header; one request after the other."""
    while head := await reader.readuntil(b"\r\n\r\n"):
        body = await read_body(reader, writer, head.lower())
        told = hashlib.sha256(body).hexdigest()
        fields = f"Content-Length: {len(body)}\r\nContent-Type: text/html\r\nX-Sum: {told}\r\n"
        writer.write(f"HTTP/1.1 200 OK\r\n{fields}\r\n".encode() + body)
        await writer.drain()


async def read_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes) -> bytes:
    if b"expect: 100-continue" in head:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    if b"transfer-encoding: chunked" in head:
        return b"".join([chunk async for chunk in chunks(reader)])
    _, _, rest = head.partition(b"content-length:")
    return await reader.readexactly(int(rest.split(b"\r\n")[0])) if rest else b"<p>a page of the origin</p>"


async def chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while size := int(await reader.readuntil(b"\r\n"), 16):
        yield (await reader.readexactly(size + 2))[:-2]
    await reader.readuntil(b"\r\n")


async def answer_h2(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """As little of HTTP/2 (RFC 9113) as a client needs: every stream gets 200 and the number of its connection's
    streams so far, but only once there are two, so that both share the connection."""
    await reader.readexactly(len(PREFACE))
    writer.write(h2_frame(4, 0, 0, b""))
    streams: list[int] = []
    while True:
        length, kind, flags, stream = struct.unpack(">IBBI", b"\0" + await reader.readexactly(9))
        payload = await reader.readexactly(length)
        if kind == 4 and not flags & 1:
            writer.write(h2_frame(4, 1, 0, b""))
        elif kind == 6 and not flags & 1:
            writer.write(h2_frame(6, 1, 0, payload))
        elif kind == 1:
            streams.append(stream)
        if kind == 1 and len(streams) == 2:
            for each in streams:
                # 0x88 is ":status: 200" in the static table (RFC 7541, appendix A).
                writer.write(h2_frame(1, 4, each, b"\x88") + h2_frame(0, 1, each, b"stream %d\n" % each))


def h2_frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">IBBI", len(payload), kind, flags, stream)[1:] + payload


async def answer_socket(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A WebSocket that echoes messages of up to 64 KiB (RFC 6455)."""
    head = await reader.readuntil(b"\r\n\r\n")
    key = next(
        line.split(b":")[1].strip() for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key")
    )
    accept = socket_accept(key.decode())
    fields = f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n"
    writer.write(f"HTTP/1.1 101 Switching Protocols\r\n{fields}\r\n".encode())
    while True:
        first, message = await read_message(reader)
        writer.write(message_frame(first, message))
        await writer.drain()


def socket_accept(key: str) -> str:
    return base64.b64encode(hashlib.sha1((key + SOCKET_KEY).encode(), usedforsecurity=False).digest()).decode()


async def read_message(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The first byte of the frame, and what it carries unmasked."""
    first, length = await reader.readexactly(2)
    masked, length = bool(length & 0x80), length & 0x7F
    if length == 126:
        length = int.from_bytes(await reader.readexactly(2))
    mask = await reader.readexactly(4) if masked else bytes(4)
    payload = await reader.readexactly(length)
    return first, bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))


def message_frame(first: int, message: bytes, mask: bytes = b"") -> bytes:
    size = bytes([len(message)]) if len(message) < 126 else b"\x7e" + len(message).to_bytes(2)
    sent = bytes(byte ^ mask[place % 4] for place, byte in enumerate(message)) if mask else message
    return bytes([first, size[0] | (0x80 if mask else 0)]) + size[1:] + mask + sent
