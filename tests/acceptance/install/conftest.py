"""A master that offers a release, and a bare host to install it on."""

import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from shared.release.signing import public_key
from tests.cluster.cluster import Cluster, cluster
from tests.install.hosts import DOWNLOAD, Host, bare_host, publish
from tests.install.roots import require_roots
from tests.release.bundles import KEY
from tests.services.folders import Folder
from tests.services.ports import HOST
from tests.services.postgres import Database, PostgreSQL
from tests.services.rabbitmq import RabbitMQ, Vhost
from tests.services.sources import Where


@pytest.fixture
def bundles(tmp_path: Path) -> Path:
    """The folder of bundles of the master."""
    require_roots()
    folder = tmp_path / "bundles"
    publish(folder, "0.2.0")
    return folder


@pytest.fixture
async def offering(
    where: Where, postgres: PostgreSQL, rabbitmq: RabbitMQ, database: Database, vhost: Vhost, bundles: Path
) -> AsyncIterator[Cluster]:
    """A cluster of one master, whose download listener offers the bundles."""
    folder = Folder(where.folder.private(f"cluster-{secrets.token_hex(4)}"), durable=False)
    keys = bundles.parent / "trusted"
    keys.write_text(f"{public_key(KEY)}\n")
    port = str(where.ports.port(DOWNLOAD))
    settings = {"DOWNLOAD_HOST": HOST, "DOWNLOAD_PORT": port, "DOWNLOAD_URL": f"http://{HOST}:{port}"}
    settings |= {"BUNDLE_DIR": str(bundles), "RELEASE_KEYS_FILE": str(keys)}
    async with cluster(replace(where, folder=folder), postgres, rabbitmq, database, vhost, **settings) as made:
        yield made


@pytest.fixture
def host(offering: Cluster, tmp_path: Path) -> Iterator[Host]:
    (tmp_path / "root").mkdir()
    with bare_host(tmp_path / "root", offering) as made:
        yield made
