"""The new endpoint of a rotation: its node, port, login and exit."""

from collections.abc import Mapping, Sequence
from typing import Any

from master.db.database import Row, Session
from master.domain.proxies.changes import LOGIN
from master.domain.proxies.creation import no_capacity
from master.domain.proxies.rotatable import next_exit
from master.domain.proxies.service import lock_placement_among
from master.domain.proxies.settings import random_login
from master.errors import invalid_at, not_rotatable
from master.placement.candidates import Candidate, Demand, Obstacle, choose_node
from shared.proxies import NodeId


async def insert_endpoint(session: Session, row: Row, node: Row, exit_: Mapping[str, Any]) -> None:
    """Write the new endpoint. Raises InsufficientCapacity."""
    login = random_login() if "credentials" in row["what"] else {name: row[name] for name in LOGIN}
    await session.execute(
        "rotation.insert_endpoint",
        proxy_id=row["proxy_id"],
        rotation_id=row["id"],
        node_id=node["id"],
        port=await port_of(session, row, node),
        **login,
        exit=exit_,
    )


async def port_of(session: Session, row: Row, node: Row) -> int:
    """Return the present port if it may stay and is free on the node, else the lowest free one.

    Raises InsufficientCapacity.
    """
    await session.execute("placement.lock_ip", ip=node["ip"])
    if "port" not in row["what"]:
        if node["id"] == row["node_id"]:
            return row["port"]
        if await is_port_free(session, node, row["port"]):
            return row["port"]
    port = await session.value("placement.lowest_free_port", node_id=node["id"])
    if port is None:
        raise no_capacity((Obstacle(node_id=node["id"], reason="no port is free"),))
    return port


async def is_port_free(session: Session, node: Row, port: int) -> bool:
    """Return whether the port is free on the node, whose ip is locked."""
    if not node["port_from"] <= port <= node["port_to"]:
        return False
    where = {"node_id": node["id"], "port": port}
    is_used = await session.row("placement.port_holder", **where) is not None
    return not is_used and not await session.value("rotation.is_port_taken", **where)


async def choose_target(session: Session, row: Row) -> int:
    """Choose another node: a named one, or one of the same location. Raises Invalid, InsufficientCapacity."""
    if row["location_id"] is None and row["node_ids"] is None:
        raise invalid_at(f"node {row['node_id']} has no location: give node_ids", "/node_ids")
    node_ids = await lock_targets(session, row["location_id"], row["node_ids"])
    rows = await session.rows(
        "placement.select_candidates",
        location_id=None,
        node_ids=node_ids,
        engine=row["engine"],
        port=None,
    )
    exit_: Mapping[str, Any] = row["exit"]
    if "exit" in row["what"] and exit_.get("mode") == "address":
        exit_ = {}
    others = [Candidate(**each) for each in rows if each["id"] != row["node_id"]]
    chosen = choose_node(others, Demand(engine=row["engine"], exit=exit_))
    if isinstance(chosen, tuple):
        raise no_capacity(chosen)
    return chosen


async def lock_targets(session: Session, location_id: int | None, node_ids: Sequence[int] | None) -> list[NodeId]:
    """Lock placement among the nodes that a proxy of this location may move to; return their ids."""
    location_ids = None if node_ids is not None or location_id is None else [location_id]
    return await lock_placement_among(session, location_ids=location_ids, node_ids=node_ids)


def exit_after(row: Row, node: Row) -> dict[str, Any]:
    """Return the exit that the proxy will have on the node. Raises NotRotatable."""
    if "exit" not in row["what"]:
        return dict(row["exit"])
    exit_ = next_exit(row["exit"], node["local_addresses"])
    if exit_ is None:
        raise not_rotatable({row["proxy_id"]: f"node {node['id']} has no other address to leave by"})
    return exit_
