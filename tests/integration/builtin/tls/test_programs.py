"""Programs that speak TLS to a proxy: curl, openssl and Python's own."""

import asyncio
import shutil
from collections.abc import AsyncIterator

import httpx
import pytest

from node.engine.builtin.engine import BuiltinEngine
from tests.clients.http_requests import OK
from tests.clients.origins import Certificate
from tests.clients.origins import serving as serving_https
from tests.clients.streams import HERE, LOGIN, head_of, record, serving


async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await head_of(reader)
    writer.write(OK)


@pytest.fixture
async def origin() -> AsyncIterator[int]:
    async with serving(answers) as port:
        yield port


async def run(*words: str, given: bytes = b"") -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *words, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(20):
        out, error = await process.communicate(given)
    return process.returncode or 0, out.decode(), error.decode()


def needed(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found


@pytest.mark.parametrize("more", [(), ("--proxytunnel",)])
async def test_curl_uses_an_https_proxy(
    engine: BuiltinEngine, server: Certificate, origin: int, more: tuple[str, ...]
) -> None:
    await engine.start(proxy := record(protocol="http", tls=True))
    trusts = ("--proxy-cacert", str(server.chain), "-x", f"https://alice:wonder@{HERE}:{proxy.port}")
    code, out, error = await run(needed("curl"), "-sS", *more, *trusts, f"http://{HERE}:{origin}/")
    assert (code, out) == (0, "ok"), error


async def test_curl_refuses_a_proxy_that_it_does_not_know(engine: BuiltinEngine, origin: int) -> None:
    await engine.start(proxy := record(protocol="http", tls=True))
    proxy_url = f"https://alice:wonder@{HERE}:{proxy.port}"
    code, out, _ = await run(needed("curl"), "-sS", "-x", proxy_url, f"http://{HERE}:{origin}/")
    assert (code, out) == (60, "")


async def test_openssl_sees_a_verified_chain_and_the_version(
    engine: BuiltinEngine, server: Certificate, origin: int
) -> None:
    await engine.start(proxy := record(tls=True))
    request = f"GET http://{HERE}:{origin}/ HTTP/1.1\r\nHost: {HERE}\r\n{LOGIN}\r\nConnection: close\r\n\r\n"
    code, out, _ = await run(
        needed("openssl"),
        *("s_client", "-connect", f"{HERE}:{proxy.port}", "-CAfile", str(server.chain), "-verify_return_error"),
        *("-ign_eof", "-alpn", "h2,http/1.1"),
        given=request.encode(),
    )
    assert code == 0
    assert "Verify return code: 0 (ok)" in out
    assert "ALPN protocol: http/1.1" in out
    assert "HTTP/1.1 200 OK" in out


async def test_openssl_cannot_renegotiate(engine: BuiltinEngine, server: Certificate) -> None:
    await engine.start(proxy := record(tls=True))
    _, out, error = await run(
        needed("openssl"),
        *("s_client", "-connect", f"{HERE}:{proxy.port}", "-CAfile", str(server.chain), "-tls1_2"),
        given=b"R\n",
    )
    assert "no renegotiation" in (out + error)


async def test_curl_speaks_tls_through_a_tunnel_in_tls(engine: BuiltinEngine, server: Certificate) -> None:
    await engine.start(proxy := record(protocol="http", tls=True))
    trusts = ("--proxy-cacert", str(server.chain), "--cacert", str(server.chain))
    url = f"https://alice:wonder@{HERE}:{proxy.port}"
    async with serving_https(answers, server.server()) as port:
        code, out, error = await run(needed("curl"), "-sS", *trusts, "-x", url, f"https://{HERE}:{port}/")
    assert (code, out) == (0, "ok"), error


async def test_httpx_uses_an_https_proxy(engine: BuiltinEngine, server: Certificate, origin: int) -> None:
    await engine.start(proxy := record(protocol="http", tls=True))
    used = httpx.Proxy(f"https://alice:wonder@{HERE}:{proxy.port}", ssl_context=server.client())
    async with httpx.AsyncClient(proxy=used) as client:
        assert (await client.get(f"http://{HERE}:{origin}/")).text == "ok"
