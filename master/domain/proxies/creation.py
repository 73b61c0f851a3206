"""The creation of one proxy: its node, port and login are chosen in one transaction."""

from collections.abc import Mapping, Sequence
from typing import Any

from master.db.database import Row, Session
from master.domain.events.log import NewEvent, record_events
from master.domain.license.service import admit
from master.domain.proxies.ports import check_port, port_outside
from master.domain.proxies.schemas import NewProxy, Proxy
from master.domain.proxies.service import get, lock_placement_among
from master.domain.proxies.settings import NO_EXPIRY, check_expiries, new_settings
from master.errors import (
    Conflict,
    InsufficientCapacity,
    NodeCapacity,
    exit_missing,
    insufficient_capacity,
    invalid_at,
    port_taken,
)
from master.placement.candidates import Candidate, Demand, Obstacle, choose_node
from shared.proxies import NodeId


async def create(session: Session, body: NewProxy, *, allow_past: bool = False) -> Proxy:
    """Create a proxy on the least loaded node that can take it.

    Raises Invalid, LicenseRefused, InsufficientCapacity, ExitMissing, PortTaken, PortOutsideRange; NameTaken at the
    transaction's end.
    """
    settings = new_settings(body)
    settings["labels"] = {**session.implied_labels, **settings["labels"]}
    await check_placement(session, body)
    await check_expiries(session, [(NO_EXPIRY, settings)], allow_past=allow_past)
    location_ids = None if body.location_id is None else [body.location_id]
    node_ids = await lock_placement_among(session, location_ids=location_ids, node_ids=body.node_ids)
    await admit(session, "proxies", 1)
    node_id = await select_node(session, body, node_ids, settings["exit"])
    port = await claim_port(session, node_id, body.port)
    rotation = settings.pop("rotation")
    is_requested = body.port is not None
    id_ = await session.value("proxies.insert", **settings, node_id=node_id, port=port, port_requested=is_requested)
    if rotation:
        await session.execute("proxies.set_schedules", ids=[id_], numbers=[0], rotations=[rotation])
    details = {"port": port, "protocol": body.protocol, "version": 1}
    await record_events(session, [NewEvent(type="proxy.created", proxy_id=id_, node_id=node_id, details=details)])
    return await get(session, id_)


async def check_placement(session: Session, body: NewProxy) -> None:
    """Check that the body names a location or nodes, and that they exist. Raises Invalid."""
    if body.location_id is None and body.node_ids is None:
        raise invalid_at("give location_id, node_ids or both", "/location_id", "/node_ids")
    if body.location_id is not None and not await session.rows("placement.select_locations", ids=[body.location_id]):
        raise invalid_at(f"there is no location {body.location_id}", "/location_id")
    if body.node_ids is not None:
        await check_nodes(session, body.node_ids)


async def check_nodes(session: Session, ids: Sequence[int]) -> None:
    """Check that these nodes exist. Raises Invalid."""
    known = {row["id"] for row in await session.rows("placement.select_nodes", ids=list(ids))}
    if missing := [index for index, id_ in enumerate(ids) if id_ not in known]:
        names = ", ".join(str(ids[index]) for index in missing[:10])
        raise invalid_at(f"there is no node {names}", *(f"/node_ids/{index}" for index in missing))


async def select_node(session: Session, body: NewProxy, node_ids: Sequence[NodeId], exit_: Mapping[str, Any]) -> NodeId:
    """Choose one of these nodes. Raises InsufficientCapacity, ExitMissing, PortTaken, PortOutsideRange."""
    rows = await session.rows(
        "placement.select_candidates",
        location_id=body.location_id,
        node_ids=node_ids,
        engine=body.engine,
        port=body.port,
    )
    chosen = choose_node([Candidate(**row) for row in rows], Demand(engine=body.engine, port=body.port, exit=exit_))
    if isinstance(chosen, tuple):
        raise refusal_of(chosen, rows, body)
    return chosen


async def claim_port(session: Session, node_id: NodeId, requested: int | None) -> int:
    """Lock the requested port, or the lowest free one. Raises PortTaken, PortOutsideRange, InsufficientCapacity."""
    [node] = await session.rows("placement.lock_nodes", ids=[node_id])
    if requested is not None:
        await check_port(session, node, requested)
        return requested
    await session.execute("placement.lock_ip", ip=node["ip"])
    port = await session.value("placement.lowest_free_port", node_id=node_id)
    if port is None:
        raise no_capacity((Obstacle(node_id=node_id, reason="no port is free"),))
    return port


def refusal_of(obstacles: Sequence[Obstacle], rows: Sequence[Row], body: NewProxy) -> Conflict:
    """Return the conflict of the port or exit when only one node is a candidate, else the reasons of all candidates."""
    if len(obstacles) == 1 and obstacles[0].exit:
        return exit_missing([(rows[0], obstacles[0].reason)])
    if len(obstacles) != 1 or body.port is None or obstacles[0].port is None:
        return no_capacity(obstacles)
    row = rows[0]
    if obstacles[0].port == "taken":
        return port_taken(body.port, row["holder"], row["holder_node"])
    return port_outside(body.port, row["id"], f"{row['port_from']}-{row['port_to']}")


def no_capacity(obstacles: Sequence[Obstacle]) -> InsufficientCapacity:
    """Return the conflict for one proxy that no candidate can take."""
    shares = [NodeCapacity(node_id=one.node_id, possible=0, reason=one.reason) for one in obstacles]
    return insufficient_capacity("no node can take the proxy", requested=1, possible=0, by_node=shares)
