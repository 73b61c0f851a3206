"""A node that is downloaded from a master's port, and runs from its bundle alone."""

import hashlib
import secrets
import tarfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from shared.release.manifest import read_manifest
from shared.release.signing import verify
from tests.acceptance.conftest import made
from tests.clients.traffic import Client
from tests.cluster.cluster import Cluster, cluster, succeeded
from tests.release.bundles import Release, make_release
from tests.services.folders import Folder
from tests.services.ports import API, HOST
from tests.services.postgres import Database, PostgreSQL
from tests.services.rabbitmq import RabbitMQ, Vhost
from tests.services.sources import Where


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return make_release(tmp_path / "bundles", "0.2.0")


@pytest.fixture
async def serving(
    where: Where, postgres: PostgreSQL, rabbitmq: RabbitMQ, database: Database, vhost: Vhost, release: Release
) -> AsyncIterator[Cluster]:
    """A master with bundles and a download port."""
    keys = release.folder.parent / "keys"
    keys.write_text(f"{release.public_key}\n")
    port = where.ports.port(API + 1)
    settings = {
        "BUNDLE_DIR": str(release.folder),
        "RELEASE_KEYS_FILE": str(keys),
        "DOWNLOAD_HOST": HOST,
        "DOWNLOAD_PORT": str(port),
        "DOWNLOAD_URL": f"http://{HOST}:{port}",
    }
    folder = Folder(where.folder.private(f"cluster-{secrets.token_hex(4)}"), durable=False)
    async with cluster(replace(where, folder=folder), postgres, rabbitmq, database, vhost, **settings) as one:
        yield one


async def downloaded(url: str, release: Release, folder: Path) -> Path:
    """Do what install.sh does: fetch, verify, unpack. Returns the program."""
    async with httpx.AsyncClient(base_url=url, trust_env=False) as port:
        manifest = succeeded(await port.get("/bundle/manifest.json")).content
        verify(manifest, succeeded(await port.get("/bundle/manifest.json.sig")).text, [release.public_key])
        [file] = read_manifest(manifest).files
        content = succeeded(await port.get(f"/bundle/{file.name}")).content
    assert hashlib.sha256(content).hexdigest() == file.sha256
    folder.joinpath("bundle").write_bytes(content)
    with tarfile.open(folder / "bundle") as archive:
        archive.extractall(folder, filter="data")
    return folder / "maybe-node-0.2.0/maybe-node"


async def test_a_downloaded_node_enrols_and_runs_a_proxy(
    serving: Cluster, release: Release, client: Client, tmp_path: Path
) -> None:
    line = succeeded(await serving.api.get("/install-command")).json()
    script = succeeded(await serving.api.get("/install.sh"))
    assert (line["version"], line["sha256"]) == ("0.2.0", hashlib.sha256(script.content).hexdigest())
    program = await downloaded(line["url"], release, tmp_path)
    succeeded(await serving.api.post("/locations", json={"name": "home"}))
    node = await serving.launch(program=program)
    await serving.enrol(node, location_id=1)
    assert succeeded(await serving.api.get(f"/nodes/{node.id}")).json()["agent"] == "0.2.0"
    proxy = await made(serving)
    await client.use(proxy)
    assert not list((program.parent / "lib").rglob("*.pyc"))
