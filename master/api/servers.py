"""The HTTP servers of the API: its own port, and the port that serves the links of customers alone."""

import asyncio
import socket
from typing import Any

import structlog
import uvicorn
from litestar.types import ASGIApp

from master.api.http_protocol import HttpProtocol
from master.api.middleware import LINK_PATH
from master.api.problems import problem
from master.certificate import ServerCertificate
from master.distribution.downloads.limits import Connections
from master.distribution.downloads.protocol import download_protocol
from master.errors import NotFound
from master.schemas.media_types import MediaType
from shared.asgi import Answer, send_answer
from shared.http_server import serve

log = structlog.get_logger()


def api_config(app: Any, protocol: type[asyncio.Protocol], certificate: ServerCertificate | None) -> uvicorn.Config:
    """Return the configuration of a server for this application; with a certificate it speaks TLS alone.

    A client is whoever connects: headers such as X-Forwarded-For are not heeded, since any client can send them.
    """
    return uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=5,
        lifespan="off",
        ssl_context_factory=None if certificate is None else lambda _config, _default: certificate.context,
    )


def links_alone(app: ASGIApp) -> ASGIApp:
    """Return an application that serves the links of another one. Any other path answers 404."""

    async def served(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"].startswith(LINK_PATH):
            await app(scope, receive, send)
            return
        body = problem(NotFound, "only links are served at this port").content
        await send_answer(Answer(404, body, MediaType.PROBLEM.encode()), send, bodiless=scope["method"] == "HEAD")

    return served


async def serve_links(app: ASGIApp, listener: socket.socket, certificate: ServerCertificate | None) -> None:
    """Serve links until cancelled. Clients are unknown, so their connections are bounded as those of downloads."""
    host, port = listener.getsockname()[:2]
    log.info("links.listening", host=host, port=port, tls=certificate is not None)
    protocol = type("LinksProtocol", (HttpProtocol, download_protocol(Connections())), {})
    await serve(api_config(links_alone(app), protocol, certificate), listener)
