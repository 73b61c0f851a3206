"""Goes through a proxy as a client would, and tells how far it came."""

import asyncio
import ssl
import time
from base64 import b64encode
from dataclasses import dataclass
from urllib.parse import urlsplit

from master.domain.checks.results import (
    Endpoint,
    ProbeFailure,
    answer_failure,
    connect_failure,
    exit_ip,
    method_failure,
    reply_failure,
)
from master.domain.checks.schemas import CheckStep
from master.domain.proxies.urls import bracketed
from shared.echo import ECHO_HOST

CONNECT_S = 5.0
PROBE_S = 15.0
"""For all of it; a proxy may try a destination for twelve seconds."""
MOST_BODY = 65536
SOCKS = 5
LOGIN, NO_LOGIN = 2, 0
DOMAIN, IPV4, IPV6 = 3, 1, 4
ADDRESS_BYTES = {IPV4: 4, IPV6: 16}

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbeResult:
    """How it went. `latency_ms` is from the beginning to the destination's answer, or to what failed."""

    failure: ProbeFailure | None
    latency_ms: float
    exit_ip: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbeTarget:
    """What is asked for through the proxy: a URL taken apart."""

    host: str
    port: int
    path: str
    is_tls: bool


def target_of(url: str | None) -> ProbeTarget:
    """Of an http or https URL; without one the echo that the proxy's own node has."""
    parts = urlsplit(url or f"http://{ECHO_HOST}/")
    is_tls = parts.scheme == "https"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return ProbeTarget(host=parts.hostname or "", port=parts.port or (443 if is_tls else 80), path=path, is_tls=is_tls)


async def probe(endpoint: Endpoint, target: ProbeTarget) -> ProbeResult:
    """Never raises for what is wrong with the proxy or the destination."""
    began = time.monotonic()
    failure, body = None, b""
    try:
        async with asyncio.timeout(PROBE_S):
            body = await asked(endpoint, target)
    except ProbeFailure as found:
        failure = found
    except TimeoutError:
        failure = ProbeFailure("destination", "it took too long")
    latency_ms = round((time.monotonic() - began) * 1000, 1)
    return ProbeResult(failure=failure, latency_ms=latency_ms, exit_ip=exit_ip(body) if failure is None else None)


async def asked(endpoint: Endpoint, target: ProbeTarget) -> bytes:
    """The body of the destination's answer. Raises Failure, TimeoutError."""
    reader, writer = await connected(endpoint)
    step: CheckStep = "login"
    try:
        if endpoint.protocol == "socks5":
            await socks_login(reader, writer, endpoint)
            step = "destination"
            await socks_connect(reader, writer, target)
        else:
            await http_connect(reader, writer, endpoint, target)
        step = "answer"
        if target.is_tls:
            await writer.start_tls(ssl.create_default_context(), server_hostname=target.host)
        return await fetched(reader, writer, target)
    except (OSError, EOFError, ValueError) as error:
        raise ProbeFailure(step, f"the connection broke ({type(error).__name__})") from error
    finally:
        writer.transport.abort()


async def connected(endpoint: Endpoint) -> Streams:
    """Raises Failure."""
    try:
        async with asyncio.timeout(CONNECT_S):
            return await asyncio.open_connection(endpoint.host, endpoint.port)
    except TimeoutError as error:
        raise ProbeFailure("connect", f"{endpoint.host}:{endpoint.port} does not answer") from error
    except OSError as error:
        raise ProbeFailure("connect", f"{endpoint.host}:{endpoint.port} refuses or cannot be reached") from error


async def http_connect(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, endpoint: Endpoint, target: ProbeTarget
) -> None:
    """Raises Failure, OSError, EOFError, ValueError."""
    place = f"{bracketed(target.host)}:{target.port}"
    login = ""
    if endpoint.username is not None:
        token = b64encode(f"{endpoint.username}:{endpoint.password}".encode()).decode()
        login = f"Proxy-Authorization: Basic {token}\r\n"
    writer.write(f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n{login}\r\n".encode())
    status, length = await head(reader)
    body = b"" if status in range(200, 300) else await reader.read(min(length or MOST_BODY, MOST_BODY))
    if failure := connect_failure(status, body):
        raise failure


async def socks_login(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, endpoint: Endpoint) -> None:
    """RFC 1928 §3, RFC 1929. Raises Failure, OSError, EOFError."""
    method = LOGIN if endpoint.username is not None else NO_LOGIN
    writer.write(bytes((SOCKS, 1, method)))
    _, chosen = await reader.readexactly(2)
    if failure := method_failure(chosen):
        raise failure
    if chosen == LOGIN:
        name, password = (endpoint.username or "").encode(), (endpoint.password or "").encode()
        writer.write(bytes((1, len(name))) + name + bytes((len(password),)) + password)
        _, status = await reader.readexactly(2)
        if status:
            raise ProbeFailure("login", "the proxy does not accept the login")


async def socks_connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: ProbeTarget) -> None:
    """RFC 1928 §4. Raises Failure, OSError, EOFError."""
    name = target.host.encode("ascii")
    writer.write(bytes((SOCKS, 1, 0, DOMAIN, len(name))) + name + target.port.to_bytes(2))
    _, reply, _, kind = await reader.readexactly(4)
    if failure := reply_failure(reply):
        raise failure
    length = ADDRESS_BYTES.get(kind) or (await reader.readexactly(1))[0]
    await reader.readexactly(length + 2)


async def fetched(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: ProbeTarget) -> bytes:
    """Raises Failure, OSError, EOFError, ValueError."""
    place = bracketed(target.host) + ("" if target.port in (80, 443) else f":{target.port}")
    writer.write(f"GET {target.path} HTTP/1.1\r\nHost: {place}\r\nAccept: */*\r\nConnection: close\r\n\r\n".encode())
    status, length = await head(reader)
    if failure := answer_failure(status):
        raise failure
    return (
        await reader.readexactly(length) if length is not None and length <= MOST_BODY else await reader.read(MOST_BODY)
    )


async def head(reader: asyncio.StreamReader) -> tuple[int, int | None]:
    """(status, content length) of an HTTP/1 answer. Raises OSError, EOFError, ValueError."""
    try:
        lines = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
    except asyncio.LimitOverrunError as error:
        raise ValueError("the answer's head is too long") from error
    version, _, rest = lines[0].partition(b" ")
    if not version.startswith(b"HTTP/1."):
        raise ValueError("this is no HTTP")
    fields = (line.partition(b":") for line in lines[1:])
    lengths = [int(value) for name, _, value in fields if name.strip().lower() == b"content-length"]
    return int(rest[:3]), lengths[0] if lengths else None
