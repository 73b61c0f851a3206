"""Streams of other protocols through a proxy of the built-in engine: SSH, WebSocket, DNS, and one that is very long."""

import asyncio
import getpass
import hashlib
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.proxies import ProxyRecord
from tests.bench.engines.generator import Generator, NoCompilerError, compiled
from tests.clients import ssh_proxy_command
from tests.clients.datagrams import association, datagrams, headed
from tests.clients.origins import HERE, answer_socket, message_frame, read_message, serving, socket_accept
from tests.clients.streams import LOGIN, Streams, dialled, free_port, head_of, tunnel, until

CONNECT = ssh_proxy_command.__file__
GIB = 2**30
QUESTION = b"\x12\x34\1\0\0\1\0\0\0\0\0\0\7example\4test\0\0\1\0\1"
"""The address of example.test, asked for as a stub resolver does (RFC 1035, 4.1)."""
SSHD = next(filter(os.path.exists, ("/usr/sbin/sshd", "/usr/local/sbin/sshd")), "")
CURL = shutil.which("curl") or ""
MASK = b"\x37\xfa\x21\x3d"
MESSAGES = (b"Hello", bytes(range(256)) * 200, "grüße".encode())


async def made_key(path: Path) -> None:
    keygen = shutil.which("ssh-keygen")
    assert keygen
    made = await asyncio.create_subprocess_exec(keygen, "-q", "-t", "ed25519", "-N", "", "-f", path)
    assert await made.wait() == 0


@pytest.fixture
async def ssh_port(tmp_path: Path) -> AsyncIterator[int]:
    """Where an OpenSSH server listens that lets one key in; skips where there can be none."""
    if not SSHD or not shutil.which("ssh"):
        pytest.skip("the OpenSSH server or client is not installed")
    folder, port = tmp_path, free_port()
    for name in ("host", "user"):
        await made_key(folder / name)
    settings = folder / "sshd_config"
    settings.write_text(
        f"ListenAddress {HERE}:{port}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/user.pub\n"
        "StrictModes no\nUsePAM no\nPidFile none\nPermitRootLogin prohibit-password\n"
    )
    command = (*in_place_of_run(), SSHD, "-D", "-e", "-f", settings)
    with (folder / "sshd.log").open("wb") as log:
        server = await asyncio.create_subprocess_exec(*command, stderr=log)
    try:
        await until(lambda: accepts(port))
        yield port
    finally:
        server.kill()
        await server.wait()


def in_place_of_run() -> tuple[str, ...]:
    """Runs a command with a /run/sshd, which sshd wants as root, in a file system of its own if there is none."""
    if os.geteuid() != 0 or os.path.isdir("/run/sshd"):
        return ()
    unshare = shutil.which("unshare")
    if not unshare or subprocess.run([unshare, "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("there is no /run/sshd, and no file system can be mounted here")
    return (unshare, "--mount", "sh", "-c", 'mount -t tmpfs tmpfs /run && mkdir /run/sshd && exec "$@"', "sh")


async def accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(HERE, port)
    except ConnectionError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


def way_through(proxy: ProxyRecord) -> str:
    """A ProxyCommand of the standard library: a tunnel by CONNECT between its input and its output."""
    return f"{sys.executable} {CONNECT} {HERE}:{proxy.port} {proxy.username}:{proxy.password} %h:%p"


async def test_ssh_carries_a_file_through_a_proxy_command(ssh_port: int, proxy: ProxyRecord, tmp_path: Path) -> None:
    data = secrets.token_bytes(5_000_000)
    settings = {
        "StrictHostKeyChecking": "no",
        "UserKnownHostsFile": "/dev/null",
        "BatchMode": "yes",
        "ProxyCommand": way_through(proxy),
    }
    options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    pipe = asyncio.subprocess.PIPE
    command = ["ssh", "-F", "none", "-i", tmp_path / "user", "-p", str(ssh_port), *options]
    client = await asyncio.create_subprocess_exec(
        *command, f"{getpass.getuser()}@{HERE}", "cat", stdin=pipe, stdout=pipe, stderr=pipe
    )
    async with asyncio.timeout(60):
        told, errors = await client.communicate(data)
    assert (client.returncode, told == data) == (0, True), errors.decode(errors="replace")


async def talk(streams: Streams, target: str, *fields: str) -> None:
    """The opening handshake and messages there and back, masked as a client's must be (RFC 6455, 5.3)."""
    reader, writer = streams
    key = "dGhlIHNhbXBsZSBub25jZQ=="
    asked = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}"]
    writer.write("\r\n".join([f"GET {target} HTTP/1.1", f"Host: {HERE}", *asked, *fields, "", ""]).encode())
    head = await head_of(reader)
    assert head.startswith(b"HTTP/1.1 101 ")
    assert f"Sec-WebSocket-Accept: {socket_accept(key)}".lower() in head.decode().lower()
    for message in MESSAGES:
        writer.write(message_frame(0x82, message, MASK))
        assert await read_message(reader) == (0x82, message)


async def test_a_websocket_runs_through_a_tunnel(proxy: ProxyRecord) -> None:
    async with serving(answer_socket) as port, tunnel(proxy, port) as streams:
        await talk(streams, "/chat")


async def test_a_websocket_runs_through_an_http_upgrade(proxy: ProxyRecord) -> None:
    async with serving(answer_socket) as port, dialled(proxy.port) as streams:
        await talk(streams, f"http://{HERE}:{port}/chat", LOGIN)


async def test_a_dns_query_is_answered_through_an_association(proxy: ProxyRecord) -> None:
    async with datagrams() as server, association(proxy) as client:
        client.send(QUESTION, server.port)
        asked, where = await server.next()
        server.send(dns_answer(asked), where)
        told = await client.answer()
    assert told == headed(dns_answer(QUESTION), server.port, HERE)


def dns_answer(question: bytes) -> bytes:
    """One A record with 192.0.2.7 for what was asked (RFC 1035, 4.1)."""
    return question[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + question[12:] + b"\xc0\x0c\0\1\0\1\0\0\0<\0\4\xc0\0\2\x07"


@pytest.mark.long
@pytest.mark.skipif(not CURL, reason="curl is not installed")
@pytest.mark.parametrize("way", [("http",), ("http", "--proxytunnel"), ("socks5",)])
async def test_curl_downloads_four_gib_with_the_right_checksum(
    long_origin: str, proxy: ProxyRecord, way: tuple[str, ...]
) -> None:
    scheme, *options = way
    size = 4 * GIB
    through = ["--proxy", f"{scheme}://{proxy.username}:{proxy.password}@{HERE}:{proxy.port}", "--noproxy", ""]
    command = [CURL, "-q", "-sS", "--fail", *options, *through, f"http://{long_origin}/{size}"]
    client = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, limit=2**22)
    assert client.stdout
    found = await summed(client.stdout)
    assert await client.wait() == 0
    assert found == await asyncio.to_thread(expected, size)


@pytest.fixture
async def long_origin(tmp_path: Path) -> AsyncIterator[str]:
    """The address of an origin of bodies as long as one asks for; skips where it cannot be compiled."""
    try:
        generator = Generator(compiled(tmp_path), ("", ""))
    except NoCompilerError as error:
        pytest.skip(str(error))
    async with generator.origin(HERE) as origin:
        yield origin.address


async def summed(stream: asyncio.StreamReader) -> str:
    total = hashlib.sha256()
    while data := await stream.read(2**22):
        total.update(data)
    return total.hexdigest()


def expected(size: int) -> str:
    """Byte i of the origin's bodies is i % 251."""
    total, block = hashlib.sha256(), bytes(range(251)) * 4096
    for _ in range(size // len(block)):
        total.update(block)
    total.update(block[: size % len(block)])
    return total.hexdigest()
