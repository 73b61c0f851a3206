"""The download port: a task of the master beside the API."""

import socket

import structlog
import uvicorn

from master.distribution.downloads.app import Announcements, Downloads
from master.distribution.downloads.limits import Connections
from master.distribution.downloads.protocol import HEAD_LIMIT, download_protocol
from master.distribution.folder import BundleFolder
from master.distribution.install_script import InstallScript
from master.distribution.releases import trusted_keys
from master.settings import DistributionSettings
from shared.http_server import serve

log = structlog.get_logger()


def downloads_of(settings: DistributionSettings, announcements: Announcements | None = None) -> Downloads:
    """Make the application. Raises BadConfiguration for a file of keys that cannot be read."""
    keys = trusted_keys(settings.release_keys_file)
    return Downloads(BundleFolder(settings.bundle_dir, keys), InstallScript(settings.download_url, keys), announcements)


def listener_config(downloads: Downloads, connections: Connections) -> uvicorn.Config:
    """Return the configuration of the server."""
    return uvicorn.Config(
        downloads,
        http=download_protocol(connections),
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=HEAD_LIMIT,
        timeout_graceful_shutdown=5,
    )


async def serve_downloads(downloads: Downloads, listener: socket.socket) -> None:
    """Serve until cancelled."""
    host, port = listener.getsockname()[:2]
    log.info("downloads.listening", host=host, port=port)
    await serve(listener_config(downloads, Connections()), listener)
