"""Trouble in the demo fleet: what an operator has to find and mend."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.cluster.cluster import Cluster, Node, succeeded, until
from tests.launch.demo.build import Resource, named, patch, post, proxies_of
from tests.launch.demo.fleet import BUSY, BUSY_TOO, DRAINING, OFFLINE, bought
from tests.services.ports import HOST, listening

TAKEN = 98
"""Offset in the ports of a node: another program has this port."""
CREDENTIALS: Resource = {"what": ["credentials"], "overlap_s": 5}
GOOD_RECEIVER, BAD_RECEIVER = 91, 92
"""Offsets in the ports of the cluster: receivers of webhooks."""


async def node_of(cluster: Cluster, name: str) -> Node | None:
    """Return the node with this name; None if the API removed or renamed it in a kept cluster."""
    listed = succeeded(await cluster.api.get("/nodes", params={"limit": 1000})).json()["items"]
    ids = {node["id"] for node in listed if node["name"] == name}
    return next((node for node in cluster.nodes.values() if node.id in ids), None)


async def begin_once(cluster: Cluster) -> None:
    """Begin the trouble that the database keeps. Raises ProgramError."""
    await create_webhooks(cluster)
    await rotate_some(cluster)
    await begin_drain(cluster)
    async with cluster.database.connection() as database:
        await database.execute((Path(__file__).parent / "trouble.sql").read_text())


async def create_webhooks(cluster: Cluster) -> None:
    for offset, types in ((GOOD_RECEIVER, ["node.*", "usage.threshold"]), (BAD_RECEIVER, ["proxy.*"])):
        await post(cluster, "/webhooks", {"url": f"http://{HOST}:{cluster.ports.port(offset)}/hook", "types": types})
    disabled = {"url": "https://billing.example.org/hook", "types": ["usage.threshold"], "enabled": False}
    await post(cluster, "/webhooks", disabled)


async def rotate_some(cluster: Cluster) -> None:
    """Rotate a customer's proxies, and one on the lost node, which fails when the node is offline."""
    await post(cluster, f"/proxies/rotate?label=customer:3&expect={bought(3)}", CREDENTIALS)
    [lost, *_] = await proxies_of(cluster, stack="us-socks")
    await post(cluster, f"/proxies/{lost['id']}/rotate", CREDENTIALS)


async def begin_drain(cluster: Cluster) -> None:
    """Empty a node into another location. The former endpoints serve on for an hour, so the drain stays visible."""
    away, there = await node_of(cluster, DRAINING), await node_of(cluster, BUSY_TOO)
    assert away
    assert there
    body = {"state": "draining", "move": True, "overlap_s": 3600, "node_ids": [there.id]}
    await patch(cluster, f"/nodes/{away.id}", body)


@asynccontextmanager
async def taken_port(cluster: Cluster) -> AsyncIterator[None]:
    """Take the port of the proxy `taken-port`, which fails until the end. Creates the proxy if necessary."""
    node = await node_of(cluster, BUSY)
    if node is None:
        yield
        return
    port = node.ports.port(TAKEN)
    proxy = await disabled_proxy(cluster, node, port)
    with await until(lambda: bound(port), f"port {port} to be free", node.agent) as claim:
        assert claim
        await patch(cluster, f"/proxies/{proxy['id']}", {"enabled": True})
        yield


async def disabled_proxy(cluster: Cluster, node: Node, port: int) -> Resource:
    if await proxies_of(cluster, name="taken-port"):
        proxy = await named(cluster, "taken-port")
        await patch(cluster, f"/proxies/{proxy['id']}", {"enabled": False})
        return proxy
    body = {"name": "taken-port", "node_ids": [node.id], "port": port, "protocol": "http", "enabled": False}
    return await post(cluster, "/proxies", body)


def bound(port: int) -> socket.socket | None:
    """Listen on the port; None while it is used."""
    try:
        return listening(port)
    except OSError:
        return None


async def lose_node(cluster: Cluster) -> set[str]:
    """Kill the agent of the node that is to be offline, whose proxies go on; return the name of its program."""
    node = await node_of(cluster, OFFLINE)
    if node is None:
        return set()
    await cluster.kill(node.agent.name)
    return {node.agent.name}


async def is_offline(cluster: Cluster) -> bool:
    """Whether the master has noticed the lost node, which takes three of its reports, 45 s."""
    node = await node_of(cluster, OFFLINE)
    assert node
    return succeeded(await cluster.api.get(f"/nodes/{node.id}")).json()["status"]["state"] == "offline"
