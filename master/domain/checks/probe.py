"""Connect through a proxy as a client would, and report the step that failed."""

import asyncio
import ssl
import time
from base64 import b64encode
from dataclasses import dataclass
from functools import cache
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
from master.domain.proxies.proxy_parts import CheckStep
from master.domain.proxies.schemas import bracketed
from shared.echo import ECHO_HOST

CONNECT_S = 5.0
PROBE_S = 15.0
"""The limit of the whole probe. A proxy may try a destination for twelve seconds."""
MAX_BODY = 65536
SOCKS = 5
LOGIN, NO_LOGIN = 2, 0
DOMAIN, IPV4, IPV6 = 3, 1, 4
ADDRESS_BYTES = {IPV4: 4, IPV6: 16}

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbeResult:
    """The result of a probe. `latency_ms` lasts until the destination's answer, or until the failure."""

    failure: ProbeFailure | None
    latency_ms: float
    exit_ip: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbeTarget:
    """The parts of the URL that is requested through the proxy."""

    host: str
    port: int
    path: str
    is_tls: bool


def target_of(url: str | None) -> ProbeTarget:
    """Return the target for an http or https URL; by default the echo service of the proxy's own node."""
    parts = urlsplit(url or f"http://{ECHO_HOST}/")
    is_tls = parts.scheme == "https"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return ProbeTarget(host=parts.hostname or "", port=parts.port or (443 if is_tls else 80), path=path, is_tls=is_tls)


async def probe(endpoint: Endpoint, target: ProbeTarget) -> ProbeResult:
    """Probe a proxy. Failures of the proxy or the destination are returned, not raised."""
    began = time.monotonic()
    failure, body = None, b""
    try:
        async with asyncio.timeout(PROBE_S):
            body = await request(endpoint, target)
    except ProbeFailure as found:
        failure = found
    except TimeoutError:
        failure = ProbeFailure("destination", "it took too long")
    latency_ms = round((time.monotonic() - began) * 1000, 1)
    return ProbeResult(failure=failure, latency_ms=latency_ms, exit_ip=exit_ip(body) if failure is None else None)


async def request(endpoint: Endpoint, target: ProbeTarget) -> bytes:
    """Return the body of the destination's answer. Raises ProbeFailure, TimeoutError."""
    reader, writer = await connect(endpoint)
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
            await writer.start_tls(trusted(), server_hostname=target.host)
        return await fetch(reader, writer, target)
    except (OSError, EOFError, ValueError) as error:
        raise ProbeFailure(step, f"the connection broke ({type(error).__name__})") from error
    finally:
        writer.transport.abort()


@cache
def any_certificate() -> ssl.SSLContext:
    """TLS with a proxy, whatever its certificate: a check finds out whether clients are served, and knows of none of
    their authorities."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@cache
def trusted() -> ssl.SSLContext:
    """The system's certificate authorities. Reading them takes 35 ms."""
    return ssl.create_default_context()


async def connect(endpoint: Endpoint) -> Streams:
    """Connect to the proxy. Raises ProbeFailure."""
    try:
        async with asyncio.timeout(CONNECT_S):
            tls = any_certificate() if endpoint.tls else None
            return await asyncio.open_connection(endpoint.host, endpoint.port, ssl=tls)
    except TimeoutError as error:
        raise ProbeFailure("connect", f"{endpoint.host}:{endpoint.port} does not answer") from error
    except ssl.SSLError as error:
        raise ProbeFailure("connect", f"{endpoint.host}:{endpoint.port} does not speak TLS") from error
    except OSError as error:
        raise ProbeFailure("connect", f"{endpoint.host}:{endpoint.port} refuses or cannot be reached") from error


async def http_connect(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, endpoint: Endpoint, target: ProbeTarget
) -> None:
    """Send CONNECT with the login. Raises ProbeFailure, OSError, EOFError, ValueError."""
    authority = f"{bracketed(target.host)}:{target.port}"
    login = ""
    if endpoint.username is not None:
        token = b64encode(f"{endpoint.username}:{endpoint.password}".encode()).decode()
        login = f"Proxy-Authorization: Basic {token}\r\n"
    writer.write(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{login}\r\n".encode())
    status, length = await read_head(reader)
    body = b"" if status in range(200, 300) else await reader.read(min(length or MAX_BODY, MAX_BODY))
    if failure := connect_failure(status, body):
        raise failure


async def socks_login(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, endpoint: Endpoint) -> None:
    """Negotiate the method and log in (RFC 1928 §3, RFC 1929). Raises ProbeFailure, OSError, EOFError."""
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
    """Send CONNECT (RFC 1928 §4). Raises ProbeFailure, OSError, EOFError."""
    name = target.host.encode("ascii")
    writer.write(bytes((SOCKS, 1, 0, DOMAIN, len(name))) + name + target.port.to_bytes(2))
    _, reply, _, kind = await reader.readexactly(4)
    if failure := reply_failure(reply):
        raise failure
    length = ADDRESS_BYTES.get(kind) or (await reader.readexactly(1))[0]
    await reader.readexactly(length + 2)


async def fetch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: ProbeTarget) -> bytes:
    """Send GET and read the body. Raises ProbeFailure, OSError, EOFError, ValueError."""
    host = bracketed(target.host) + ("" if target.port in (80, 443) else f":{target.port}")
    writer.write(f"GET {target.path} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\nConnection: close\r\n\r\n".encode())
    status, length = await read_head(reader)
    if failure := answer_failure(status):
        raise failure
    if length is not None and length <= MAX_BODY:
        return await reader.readexactly(length)
    return await reader.read(MAX_BODY)


async def read_head(reader: asyncio.StreamReader) -> tuple[int, int | None]:
    """Read status and content length of an HTTP/1 answer. Raises OSError, EOFError, ValueError."""
    try:
        lines = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
    except asyncio.LimitOverrunError as error:
        raise ValueError("the answer's head is too long") from error
    version, _, rest = lines[0].partition(b" ")
    if not version.startswith(b"HTTP/1."):
        raise ValueError("the answer is not HTTP")
    fields = (line.partition(b":") for line in lines[1:])
    lengths = [int(value) for name, _, value in fields if name.strip().lower() == b"content-length"]
    return int(rest[:3]), lengths[0] if lengths else None
