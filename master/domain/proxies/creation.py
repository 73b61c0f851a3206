"""Making a proxy: its node, its port and its login are chosen in one transaction."""

from collections.abc import Mapping, Sequence
from typing import Any

from master.db.database import Row, Session
from master.domain.events.log import NewEvent, record_events
from master.domain.proxies.expiry import NO_END, check_ends
from master.domain.proxies.ports import check_port, port_outside
from master.domain.proxies.schemas import NewProxy, Proxy
from master.domain.proxies.service import get, lock_placement
from master.domain.proxies.settings import first_settings
from master.errors import (
    Conflict,
    InsufficientCapacity,
    NodeCapacity,
    exit_missing,
    insufficient_capacity,
    pointed,
    port_taken,
)
from master.placement.candidates import Candidate, Demand, Obstacle, place
from shared.proxies import NodeId


async def create(session: Session, body: NewProxy, *, allow_past: bool = False) -> Proxy:
    """Create a proxy on the least loaded node that can take it.

    Raises Invalid, InsufficientCapacity, ExitMissing, PortTaken, PortOutsideRange; NameTaken at the transaction's end.
    """
    settings = first_settings(body)
    await check_named(session, body)
    await check_ends(session, [(NO_END, settings)], allow_past=allow_past)
    await lock_placement(session)
    node_id = await choose(session, body, settings["exit"])
    port = await take_port(session, node_id, body.port)
    query, rotation = body.port is not None, settings.pop("rotation")
    id_ = await session.value("proxies.insert", **settings, node_id=node_id, port=port, port_requested=query)
    if rotation:
        await session.execute("proxies.set_schedules", rows=[{"id": id_, "rotation": rotation}])
    details = {"port": port, "protocol": body.protocol, "version": 1}
    await record_events(session, [NewEvent(type="proxy.created", proxy_id=id_, node_id=node_id, details=details)])
    return await get(session, id_)


async def check_named(session: Session, body: NewProxy) -> None:
    """Raises Invalid when neither a location nor a node is named, or one that is not there."""
    if body.location_id is None and body.node_ids is None:
        raise pointed("say where: location_id, node_ids or both", "/location_id", "/node_ids")
    if body.location_id is not None and not await session.rows("placement.select_locations", ids=[body.location_id]):
        raise pointed(f"there is no location {body.location_id}", "/location_id")
    if body.node_ids is not None:
        await check_nodes(session, body.node_ids)


async def check_nodes(session: Session, ids: Sequence[int]) -> None:
    """Raises Invalid when one is not there."""
    known = {row["id"] for row in await session.rows("placement.select_nodes", ids=list(ids))}
    if missing := [index for index, id_ in enumerate(ids) if id_ not in known]:
        names = ", ".join(str(ids[index]) for index in missing[:10])
        raise pointed(f"there is no node {names}", *(f"/node_ids/{index}" for index in missing))


async def choose(session: Session, body: NewProxy, exit_: Mapping[str, Any]) -> NodeId:
    """The node, as placement decides it. Raises InsufficientCapacity, ExitMissing, PortTaken, PortOutsideRange."""
    rows = await session.rows(
        "placement.select_candidates",
        location_id=body.location_id,
        node_ids=body.node_ids,
        engine=body.engine,
        port=body.port,
    )
    chosen = place([Candidate(**row) for row in rows], Demand(engine=body.engine, port=body.port, exit=exit_))
    if isinstance(chosen, tuple):
        raise refused(chosen, rows, body)
    return chosen


async def take_port(session: Session, node_id: NodeId, query: int | None) -> int:
    """Lock the requested port, or the lowest free one. Raises PortTaken, PortOutsideRange, InsufficientCapacity."""
    [node] = await session.rows("placement.lock_nodes", ids=[node_id])
    if query is not None:
        await check_port(session, node, query)
        return query
    await session.execute("placement.lock_ip", ip=node["ip"])
    port = await session.value("placement.lowest_free_port", node_id=node_id)
    if port is None:
        raise no_place((Obstacle(node_id=node_id, reason="no port is free"),))
    return port


def refused(obstacles: Sequence[Obstacle], rows: Sequence[Row], body: NewProxy) -> Conflict:
    """The plainest thing to say: a port's or exit's own conflict if only one node was asked, else a reason a node."""
    if len(obstacles) == 1 and obstacles[0].exit:
        return exit_missing([(rows[0], obstacles[0].reason)])
    if len(obstacles) != 1 or body.port is None or obstacles[0].port is None:
        return no_place(obstacles)
    row = rows[0]
    if obstacles[0].port == "taken":
        return port_taken(body.port, row["holder"], row["holder_node"])
    return port_outside(body.port, row["id"], f"{row['port_from']}-{row['port_to']}")


def no_place(obstacles: Sequence[Obstacle]) -> InsufficientCapacity:
    """Say of each candidate why it cannot take the one proxy."""
    shares = [NodeCapacity(node_id=one.node_id, possible=0, reason=one.reason) for one in obstacles]
    return insufficient_capacity("no node can take the proxy", wanted=1, possible=0, by_node=shares)
