"""The download port of a master, served in the test's own process."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from master.distribution.downloads.app import Announcements, Downloads
from master.distribution.downloads.limits import Connections
from master.distribution.downloads.listener import listener_config
from master.distribution.folder import BundleFolder
from master.distribution.install_script import InstallScript
from shared.http_server import bound_socket, serve
from shared.release.signing import public_key
from tests.release.bundles import KEY


@dataclass(frozen=True)
class DownloadPort:
    """A port that serves, and its application."""

    app: Downloads
    port: int
    client: httpx.AsyncClient

    async def raw(self, data: bytes, *, address: str = "127.0.0.1") -> bytes:
        """Send bytes from a local address, and return everything until the server closes."""
        async with asyncio.timeout(20):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(address, 0))
            try:
                writer.write(data)
                return await reader.read()
            finally:
                writer.close()


def downloads_over(
    folder: Path, *, url: str | None = None, announcements: Announcements | None = None, key: bytes = KEY
) -> Downloads:
    """Make the application over a folder of bundles."""
    keys = (public_key(key),)
    return Downloads(BundleFolder(folder, keys), InstallScript(url, keys), announcements)


@asynccontextmanager
async def download_port(app: Downloads, connections: Connections | None = None) -> AsyncIterator[DownloadPort]:
    """Serve on a free port of all loopback addresses."""
    listener: socket.socket = bound_socket("127.0.0.1", 0)
    with listener:
        listener.listen(64)
        port = listener.getsockname()[1]
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(serve(listener_config(app, connections or Connections()), listener))
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
                yield DownloadPort(app, port, client)
            serving.cancel()
