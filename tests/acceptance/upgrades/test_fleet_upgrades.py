"""The master upgrades nodes that were installed from real bundles: over the real broker, with real clients."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shared.proxies import ProxyRecord
from shared.release.signing import new_key
from tests.acceptance.upgrades.test_upgrades import AGENT, HUNG, REACTOR, grown, source, streaming
from tests.clients.streams import record
from tests.cluster.cluster import Cluster, cluster, succeeded
from tests.release.bundles import Release, make_release
from tests.services.folders import Folder
from tests.services.ports import API, HOST, claim_block
from tests.services.postgres import Database, PostgreSQL
from tests.services.rabbitmq import RabbitMQ, Vhost
from tests.services.sources import Where
from tests.upgrades.real_node import NEW, OLD, RealNode, real_node

pytestmark = pytest.mark.long

NODES, STREAMS = 3, 200
LOGIN = {"username": "alice", "password": "wonder"}
LIMIT_S = 400


@asynccontextmanager
async def requests_answered(node: RealNode) -> AsyncIterator[None]:
    """Stand in for the path unit: whenever a request or an unfinished upgrade is there, the oneshot runs."""
    over = asyncio.Event()

    async def watch() -> None:
        request, journal = node.layout.data_dir / "upgrade/request.json", node.layout.journal_file
        while not over.is_set():
            if request.exists() or journal.exists():
                await asyncio.to_thread(node.apply, "--check-seconds", "15")
            await asyncio.sleep(0.2)

    async with asyncio.TaskGroup() as group:
        group.create_task(watch())
        yield
        over.set()


@asynccontextmanager
async def fleet(
    where: Where, running: tuple[PostgreSQL, RabbitMQ, Database, Vhost], release: Release, folder: Path, trusted: str
) -> AsyncIterator[tuple[Cluster, list[RealNode], list[ProxyRecord]]]:
    """A master that has this release and trusts this key, and enrolled nodes of version OLD with a proxy each."""
    keys = folder / "keys"
    keys.write_text(f"{trusted}\n")
    api = where.ports.port(API)
    settings = {
        "BUNDLE_DIR": str(release.folder),
        "RELEASE_KEYS_FILE": str(keys),
        "DOWNLOAD_URL": f"http://{HOST}:{api}",
        "ENROL_PORTS": "1024-65535",
    }
    private = Folder(where.folder.private("fleet"), durable=False)
    async with AsyncExitStack() as stack:
        made = await stack.enter_async_context(cluster(replace(where, folder=private), *running, **settings))
        nodes = [stack.enter_context(real_node(folder / f"host-{number}")) for number in range(NODES)]
        blocks = [stack.enter_context(closing(claim_block())) for _ in nodes]
        proxies = [await enrolled(made, node, block.range) for node, block in zip(nodes, blocks, strict=True)]
        for node in nodes:
            await stack.enter_async_context(requests_answered(node))
        yield made, nodes, proxies


async def enrolled(made: Cluster, node: RealNode, ports: str) -> ProxyRecord:
    """Enrol a node by its challenge, and create a proxy on it."""
    await asyncio.to_thread(node.control, "start")
    await asyncio.to_thread(node.wait, lambda: node.run("challenge").returncode == 0, "for the challenge")
    body = json.loads((await asyncio.to_thread(node.run, "challenge", "--json")).stdout)["body"]
    wanted = {**body, "ip": HOST}
    id_ = succeeded(await made.api.post("/nodes", json=wanted)).json()["id"]
    succeeded(await made.api.patch(f"/nodes/{id_}", json={"limits": {"ports": ports}}))
    answer = await made.api.post(
        "/proxies", json={"node_ids": [id_], **LOGIN}, headers={"Prefer": "wait=30"}, timeout=60
    )
    created = succeeded(answer).json()
    assert created["status"]["state"] == "running", created
    return record(created["id"]).model_copy(update={"port": created["port"]})


async def ended(made: Cluster, id_: int) -> dict[str, Any]:
    """Wait for the end of an upgrade, or for its halt."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            found = succeeded(await made.api.get(f"/upgrades/{id_}")).json()
            if found["state"] not in ("running", "paused"):
                return found
            await asyncio.sleep(0.5)


async def upgraded(made: Cluster) -> dict[str, Any]:
    """Upgrade the fleet, one node first."""
    body = {"version": NEW, "canary": 1, "batch": 2, "soak_s": 1}
    started = succeeded(await made.api.post("/upgrades", json=body)).json()
    return await ended(made, started["id"])


@pytest.fixture
def running(
    postgres: PostgreSQL, rabbitmq: RabbitMQ, database: Database, vhost: Vhost
) -> tuple[PostgreSQL, RabbitMQ, Database, Vhost]:
    return postgres, rabbitmq, database, vhost


async def test_a_fleet_is_upgraded_by_its_master_and_no_stream_is_closed(
    where: Where, running: tuple[PostgreSQL, RabbitMQ, Database, Vhost], tmp_path: Path
) -> None:
    release = make_release(tmp_path / "new", NEW, replaced={REACTOR: source(REACTOR) + b"\n# of a later version\n"})
    async with (
        fleet(where, running, release, tmp_path, release.public_key) as (made, nodes, proxies),
        streaming(proxies, STREAMS) as passed,
    ):
        done = await upgraded(made)
        assert (done["state"], done["counts"]) == ("done", {"done": NODES}), done
        await grown(passed)
        agents = {one["agent"] for one in succeeded(await made.api.get("/nodes")).json()["items"]}
        assert (agents, {node.current for node in nodes}) == ({NEW}, {NEW})
        kinds = [one["type"] for one in succeeded(await made.api.get("/events?type=node.upgraded")).json()["items"]]
        assert len(kinds) == NODES


async def test_a_version_that_hangs_stops_at_the_canary_and_everything_serves(
    where: Where, running: tuple[PostgreSQL, RabbitMQ, Database, Vhost], tmp_path: Path
) -> None:
    release = make_release(tmp_path / "new", NEW, replaced={AGENT: HUNG})
    async with (
        fleet(where, running, release, tmp_path, release.public_key) as (made, nodes, proxies),
        streaming(proxies, NODES * 5) as passed,
    ):
        halted = await upgraded(made)
        states = sorted(one["state"] for one in halted["nodes"])
        assert (halted["state"], states) == ("halted", ["rolled_back", "waiting", "waiting"]), halted
        assert {node.current for node in nodes} == {OLD}
        await grown(passed)


async def test_a_master_with_another_key_upgrades_nobody(
    where: Where, running: tuple[PostgreSQL, RabbitMQ, Database, Vhost], tmp_path: Path
) -> None:
    release = make_release(tmp_path / "new", NEW, key=new_key())
    async with fleet(where, running, release, tmp_path, release.public_key) as (made, nodes, _):
        halted = await upgraded(made)
        [refused] = [one for one in halted["nodes"] if one["state"] == "failed"]
        assert halted["state"] == "halted"
        assert "signed by" in refused["reason"]
        assert {node.current for node in nodes} == {OLD}
