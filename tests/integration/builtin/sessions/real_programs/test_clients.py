"""Clients that people use, through a proxy of the built-in engine."""

import asyncio
import hashlib
import secrets
import shutil
from collections.abc import AsyncIterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from node.engine.builtin.engine import BuiltinEngine
from shared.proxies import ProxyRecord
from tests.clients.origins import HERE, Certificate, answer_h2, answer_sum, certificate, serving
from tests.clients.streams import record

BODY = secrets.token_bytes(3_000_000)
SUM = hashlib.sha256(BODY).hexdigest()
PAGE = b"<p>a page of the origin</p>"
PATIENCE_S = 60.0
CURL, BROWSER = shutil.which("curl") or "", shutil.which("chromium") or shutil.which("google-chrome") or ""

# Told before anything is set up, for a proxy that nobody used in the end is an error here.
needs_curl = pytest.mark.skipif(not CURL, reason="curl is not installed")
needs_browser = pytest.mark.skipif(not BROWSER, reason="neither chromium nor google-chrome is installed")
needs_requests = pytest.mark.skipif(find_spec("requests") is None, reason="requests is not installed")


@pytest.fixture
async def open_proxy(engine: BuiltinEngine) -> ProxyRecord:
    """For clients that know no login, told by their address."""
    made = record(2, username=None, password=None, allow_ips=[HERE])
    await engine.start(made)
    return made


@pytest.fixture
async def origin() -> AsyncIterator[int]:
    async with serving(answer_sum) as port:
        yield port


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("trust"))


@pytest.fixture
async def secure_origin(trust: Certificate) -> AsyncIterator[int]:
    async with serving(answer_sum, trust.server("http/1.1")) as port:
        yield port


async def output(*command: str | Path, given: bytes = b"") -> bytes:
    """What a program prints that ends well."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe)
    try:
        async with asyncio.timeout(PATIENCE_S):
            told, errors = await process.communicate(given)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, errors.decode(errors="replace")[-2000:]
    return told


async def curl(*arguments: str | Path, given: bytes = b"") -> bytes:
    return await output(CURL, "-q", "--silent", "--show-error", "--fail", *arguments, given=given)


@pytest.fixture
async def http2() -> None:
    """Skips where curl has none."""
    if b"HTTP2" not in await curl("--version"):
        pytest.skip("this curl has no HTTP/2")


# SOCKS4 has no password: the user id carries name and password, the colon written as a URL demands.
LOGINS = {"http": "alice:wonder", "socks4": "alice%3Awonder", "socks4a": "alice%3Awonder"}
SCHEMES = ("http", "socks4", "socks4a", "socks5", "socks5h")


def address(scheme: str, proxy: ProxyRecord) -> str:
    return f"{scheme}://{LOGINS.get(scheme, LOGINS['http'])}@{HERE}:{proxy.port}"


@needs_curl
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("host", [HERE, "localhost"])
async def test_curl_fetches_and_sends(proxy: ProxyRecord, origin: int, scheme: str, host: str) -> None:
    url, through = f"http://{host}:{origin}/", ("--proxy", address(scheme, proxy), "--noproxy", "")
    assert await curl(*through, "--ipv4", url) == PAGE
    assert await curl(*through, "--ipv4", "--data-binary", "@-", url, given=BODY) == BODY


@needs_curl
@pytest.mark.parametrize("scheme", SCHEMES)
async def test_curl_speaks_tls_through_it(
    proxy: ProxyRecord, secure_origin: int, trust: Certificate, scheme: str
) -> None:
    through = ("--proxy", address(scheme, proxy), "--noproxy", "", "--cacert", trust.chain, "--ipv4")
    url = f"https://localhost:{secure_origin}/"
    assert await curl(*through, "--data-binary", "@-", url, given=BODY) == BODY


@needs_curl
async def test_curl_tunnels_plain_http(proxy: ProxyRecord, origin: int) -> None:
    through = ("--proxytunnel", "--proxy", address("http", proxy), "--noproxy", "")
    assert await curl(*through, "--data-binary", "@-", f"http://{HERE}:{origin}/", given=BODY) == BODY


@needs_curl
async def test_curl_sends_in_chunks_and_uses_a_connection_again(proxy: ProxyRecord, origin: int) -> None:
    through = ("--proxy", address("http", proxy), "--noproxy", "", "--header", "Transfer-Encoding: chunked")
    url = f"http://{HERE}:{origin}/"
    told = await curl(*through, "--write-out", "%{num_connects}", "--data-binary", "@-", url, url, given=b"abc")
    assert told == b"abc1abc0"


@needs_curl
@pytest.mark.usefixtures("http2")
async def test_curl_speaks_http2_through_a_tunnel(proxy: ProxyRecord, trust: Certificate) -> None:
    through = ("--proxy", address("http", proxy), "--noproxy", "", "--cacert", trust.chain, "--http2")
    async with serving(answer_h2, trust.server("h2")) as port:
        url = f"https://localhost:{port}/"
        told = await curl(*through, "--ipv4", "--parallel", "--write-out", "%{http_version}\n", url, url)
    assert sorted(told.split(b"\n")) == sorted([b"", b"2", b"2", b"stream 1", b"stream 3"])


@pytest.mark.parametrize("scheme", ["http", "socks5", "socks5h"])
async def test_httpx_fetches_and_sends(
    proxy: ProxyRecord, origin: int, secure_origin: int, trust: Certificate, scheme: str
) -> None:
    through = address(scheme, proxy)
    async with httpx.AsyncClient(proxy=through, verify=trust.client(), trust_env=False, timeout=PATIENCE_S) as client:
        for url in (f"http://{HERE}:{origin}/", f"https://{HERE}:{secure_origin}/"):
            assert (await client.get(url)).content == PAGE
            answer = await client.post(url, content=BODY)
            assert (answer.content, answer.headers["X-Sum"]) == (BODY, SUM)


@needs_requests
async def test_requests_fetches_and_sends(
    proxy: ProxyRecord, origin: int, secure_origin: int, trust: Certificate
) -> None:
    requests = import_module("requests")
    session = requests.Session()
    session.trust_env = False
    options = {"proxies": dict.fromkeys(("http", "https"), address("http", proxy)), "verify": str(trust.chain)}
    for url in (f"http://{HERE}:{origin}/", f"https://{HERE}:{secure_origin}/"):
        assert (await asyncio.to_thread(session.get, url, **options)).content == PAGE
        answer = await asyncio.to_thread(session.post, url, data=BODY, **options)
        assert (answer.content, answer.headers["X-Sum"]) == (BODY, SUM)
    session.close()


@needs_browser
@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_chromium_shows_pages_by_its_proxy_settings(
    open_proxy: ProxyRecord, origin: int, secure_origin: int, tmp_path: Path, scheme: str
) -> None:
    settings = (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--ignore-certificate-errors",
        "--no-first-run",
        f"--user-data-dir={tmp_path / 'profile'}",
        f"--proxy-server={scheme}://{HERE}:{open_proxy.port}",
        # Without this it goes to loopback addresses directly.
        "--proxy-bypass-list=<-loopback>",
    )
    for url in (f"http://localhost:{origin}/", f"https://localhost:{secure_origin}/"):
        assert PAGE in await output(BROWSER, *settings, "--dump-dom", url)
