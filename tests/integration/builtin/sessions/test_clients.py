"""Programs that people use, over every protocol of the built-in engine."""

import asyncio
import shutil
import subprocess

import pytest

from node.engine.builtin.engine import BuiltinEngine
from shared.proxies import ProxyRecord
from tests.clients.streams import record, serving
from tests.cluster.networks import LAUNCHER

PAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"


async def page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(PAGE)
    await writer.drain()


async def curl(proxy: ProxyRecord, scheme: str, login: str, url: str) -> tuple[int | None, str]:
    if shutil.which("curl") is None:
        subprocess.run(["/bin/sh", str(LAUNCHER), "install", "curl"], check=True, capture_output=True)
    process = await asyncio.create_subprocess_exec(
        *("curl", "-sS", "-q", "--noproxy", "", "-m", "10", "-x", f"{scheme}://{login}@127.0.0.1:{proxy.port}", url),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode()


@pytest.mark.parametrize("scheme", ["http", "socks4", "socks4a", "socks5", "socks5h"])
async def test_curl_comes_through_by_every_protocol_and_not_with_a_wrong_password(
    engine: BuiltinEngine, scheme: str
) -> None:
    await engine.start(proxy := record())
    separator = "%3A" if scheme.startswith("socks4") else ":"
    async with serving(page) as port:
        for host in ("127.0.0.1", "localhost"):
            url = f"http://{host}:{port}/"
            assert await curl(proxy, scheme, f"alice{separator}wonder", url) == (0, "hello")
        code, output = await curl(proxy, scheme, f"alice{separator}guess", url)
    assert (code, "hello" in output) != (0, True)
