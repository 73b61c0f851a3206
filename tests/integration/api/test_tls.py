"""The API over TLS: a certificate that is renewed is taken without a restart, and a bad one changes nothing."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from master.api.http_protocol import HttpProtocol
from master.api.servers import api_config, links_alone
from master.asgi import create_app
from master.certificate import ServerCertificate, certificate_of
from master.db.database import Database
from master.errors import BadConfiguration
from shared.http_server import Server, bound_socket
from tests.master.dependencies import api_parts
from tests.tls.authority import Authority


@asynccontextmanager
async def serving(certificate: ServerCertificate | None, wrap: Any = lambda app: app) -> AsyncIterator[int]:
    """The API without a database at a port."""
    server = Server(api_config(wrap(create_app(api_parts(Database({})))), HttpProtocol, certificate))
    with bound_socket("127.0.0.1", 0) as listener:
        listener.listen(64)
        async with asyncio.TaskGroup() as group:
            group.create_task(server.serve(sockets=[listener]))
            yield listener.getsockname()[1]
            server.should_exit = True


def trusting(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=authority.pem)


async def peer(port: int, context: ssl.SSLContext) -> dict[str, Any]:
    """The certificate of the server."""
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    try:
        return writer.get_extra_info("peercert")
    finally:
        writer.close()


async def test_the_api_speaks_tls_alone_when_it_has_a_certificate(tmp_path: Path) -> None:
    authority = Authority()
    certificate = ServerCertificate(*authority.issue(tmp_path, "localhost", "127.0.0.1"))
    async with serving(certificate) as port:
        async with httpx.AsyncClient(verify=trusting(authority), trust_env=False) as http:
            answer = await http.get(f"https://127.0.0.1:{port}/health/live")
        assert answer.status_code == 200
        async with httpx.AsyncClient(trust_env=False) as http:
            with pytest.raises(httpx.TransportError):
                await http.get(f"http://127.0.0.1:{port}/health/live")
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                await http.get(f"https://127.0.0.1:{port}/health/live")


async def test_a_renewed_certificate_is_taken_and_open_connections_go_on(tmp_path: Path) -> None:
    authority = Authority()
    certificate = ServerCertificate(*authority.issue(tmp_path, "localhost", "127.0.0.1"))
    async with serving(certificate) as port, httpx.AsyncClient(verify=trusting(authority), trust_env=False) as http:
        url = f"https://127.0.0.1:{port}/health/live"
        first = await peer(port, trusting(authority))
        assert (await http.get(url)).status_code == 200
        authority.issue(tmp_path, "localhost", "127.0.0.1")
        certificate.look()
        assert (await peer(port, trusting(authority)))["serialNumber"] != first["serialNumber"]
        assert (await http.get(url)).status_code == 200


@pytest.mark.parametrize("damage", ["key of another", "cut off", "gone", "no PEM"])
async def test_files_that_cannot_be_used_leave_the_former_certificate(tmp_path: Path, damage: str) -> None:
    authority = Authority()
    chain, key = authority.issue(tmp_path, "localhost", "127.0.0.1")
    certificate = ServerCertificate(chain, key)
    async with serving(certificate) as port:
        first = await peer(port, trusting(authority))
        match damage:
            case "key of another":
                authority.issue(tmp_path, "localhost", name="other")[1].replace(key)
            case "cut off":
                chain.write_bytes(chain.read_bytes()[:200])
            case "gone":
                key.unlink()
            case _:
                key.write_text("nonsense")
        certificate.look()
        assert await peer(port, trusting(authority)) == first
        authority.issue(tmp_path, "localhost", "127.0.0.1")
        certificate.look()
        assert await peer(port, trusting(authority)) != first


def test_a_certificate_without_its_key_and_the_reverse_are_named(tmp_path: Path) -> None:
    chain, key = Authority().issue(tmp_path, "localhost")
    with pytest.raises(BadConfiguration, match="API_TLS_KEY: is not set"):
        certificate_of(chain, None)
    with pytest.raises(BadConfiguration, match="API_TLS_CERT: is not set"):
        certificate_of(None, key)
    with pytest.raises(BadConfiguration, match="No such file"):
        certificate_of(chain, tmp_path / "nowhere")
    assert certificate_of(None, None) is None


async def test_the_port_of_links_serves_nothing_else() -> None:
    async with (
        serving(None, links_alone) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http,
    ):
        for path in ("/", "/proxies", "/health/live", "/api", "/l", "//l/x", "/L/x", "/ui/x", "/%6c/../proxies"):
            assert (await http.get(path)).json()["type"] == "/problems/not-found", path
        assert (await http.get("/l/abcdef")).status_code == 503  # the database of this test is away
