"""Nodes of the cluster that `./dev up` starts: new ones, and those of a kept cluster unless the API removed them."""

import asyncio
from collections.abc import Callable
from typing import Any

from tests.cluster.cluster import Cluster, Node, succeeded
from tests.launch.memory import Memory, Slot, absent, slots
from tests.launch.trial import ensure_location
from tests.services.ports import PortBlock, PortError, claim_block
from tests.services.programs import ProgramError, last_words

Report = Callable[[str], None]
DEFAULT_NODES = 2
BACK_S = 30.0


async def launch_new(cluster: Cluster, count: int, memory: Memory) -> None:
    """Launch the agents of new nodes, which wait to be enrolled."""
    for _ in range(count):
        node = await cluster.launch()
        memory.nodes[number_of(node)] = node.ports.first
    memory.write()


async def bring_back(cluster: Cluster, memory: Memory, report: Report) -> None:
    """Launch the agents of the nodes of earlier runs, except those that were removed or replaced through the API."""
    known = {node["id"]: node for node in await every_node(cluster)}
    there = slots(cluster.folder, memory)
    for slot in there:
        reason = absent(slot, there, known)
        if reason:
            report(f"node-{slot.number} does not come back: {reason}")
            del memory.nodes[slot.number]
        else:
            await cluster.launch(number=slot.number, ports=claimed(slot, report), id_=slot.id)
    memory.write()


def claimed(slot: Slot, report: Report) -> PortBlock:
    """Claim the node's block of ports again, or another block if a port of it is taken."""
    try:
        return claim_block(slot.ports)
    except PortError as error:
        report(f"node-{slot.number}: {error}; a proxy on that port cannot start")
        return claim_block()


async def join_all(cluster: Cluster, memory: Memory, report: Report) -> None:
    """Enrol the new nodes in order, so that node-1 gets the first id, and wait for the returning ones."""
    for node in cluster.nodes.values():
        if node.id is None:
            memory.location_id = await ensure_location(cluster, memory.location_id)
            memory.write()
            await cluster.enrol(node, location_id=memory.location_id)
            report(f"{node.agent.name} is enrolled by its challenge: node {node.id}, ports {node.ports.range}")
    back = [node for node in cluster.nodes.values() if node.back]
    async with asyncio.TaskGroup() as group:
        for node in back:
            group.create_task(welcome(cluster, node, report))


async def welcome(cluster: Cluster, node: Node, report: Report) -> None:
    """Wait until a node of an earlier run is online, and report its state."""
    try:
        await cluster.online(node, limit_s=BACK_S)
    except ProgramError:
        report(
            f"{node.agent.name} (node {node.id}) is not online after {BACK_S:.0f} s; going on without it: "
            f"{last_words(node.agent.log)}"
        )
        return
    shown = succeeded(await cluster.api.get(f"/nodes/{node.id}")).json()
    state = "" if shown["state"] == "active" else f", {shown['state']}"
    report(f"{node.agent.name} is back: node {node.id} ({shown['name']}){state}, ports {shown['limits']['ports']}")


def number_of(node: Node) -> int:
    return int(node.agent.name.removeprefix("node-"))


async def every_node(cluster: Cluster) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    query: dict[str, Any] = {"limit": 1000}
    while True:
        page = succeeded(await cluster.api.get("/nodes", params=query)).json()
        found += page["items"]
        if page["next"] is None:
            return found
        query["after"] = page["next"]
