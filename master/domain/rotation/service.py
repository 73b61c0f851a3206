"""Start rotations of one proxy or of many, which the masters then carry on."""

from collections.abc import Sequence
from datetime import timedelta

from master.actors import cause
from master.db.constraints import existing
from master.db.database import Row, Session
from master.domain.proxies.bulk_changes import select_groups
from master.domain.proxies.changes import runs
from master.domain.proxies.creation import check_nodes
from master.domain.proxies.fleets import lock_fleet
from master.domain.proxies.rotatable import why_not_rotatable
from master.domain.proxies.schemas import FleetFilter
from master.domain.rotation.endpoints import lock_targets
from master.domain.rotation.schemas import RotateRequest, Rotation, RotationList, RotationPage, rotation_from_row
from master.domain.rotation.steps import begin
from master.errors import invalid_at, not_rotatable
from shared.proxies import ProxyId

KEPT_DAYS = 30
"""Rotations are forgotten so long after they ended."""


async def get(session: Session, id_: int) -> Rotation:
    """Return one rotation. Raises NotFound."""
    return rotation_from_row(existing(await session.row("rotation.select_one", id=id_), "rotation", id_))


async def page(session: Session, query: RotationList) -> RotationPage:
    """Return a page of the rotations that match."""
    where = {name: getattr(query, name) or None for name in ("proxy_id", "node_id", "state", "since")}
    rows = await session.rows(f"rotation.select_page by {query.sort}", **where, **query.position)
    return RotationPage(items=[rotation_from_row(row) for row in rows], next=query.next_after(rows))


async def rotate(session: Session, proxy_id: int, body: RotateRequest) -> Rotation:
    """Start to rotate one proxy. If its node is offline, the rotation soon fails with that reason.

    Raises NotFound, Invalid, NotRotatable, InsufficientCapacity; the transaction's end raises RotationUnderWay.
    """
    row = existing(await session.row("proxies.select_one", id=proxy_id), "proxy", proxy_id)
    if "node" in body.what:
        await lock_targets(session, row["location_id"], body.node_ids)
    [id_] = await request_rotations(session, [row["id"]], body)
    await begin(session, id_)
    return await get(session, id_)


async def rotate_fleet(session: Session, fleet: FleetFilter, body: RotateRequest) -> list[int]:
    """Request rotations of all proxies that match; return their ids. Raises CountDiffers, Invalid, NotRotatable."""
    locked = await lock_fleet(session, fleet)
    return await request_rotations(session, locked.ids, body)


async def rotate_stack(session: Session, stack_id: int, body: RotateRequest) -> list[int]:
    """Request rotations of all proxies of a stack; return their ids. Raises Invalid, NotRotatable."""
    ids = await session.value("proxies.select_of_stack", id=stack_id)
    return await request_rotations(session, ids, body) if ids else []


async def request_rotations(session: Session, proxy_ids: Sequence[ProxyId], body: RotateRequest) -> list[int]:
    """Request a rotation of each of these proxies; return the ids. Raises Invalid, NotRotatable."""
    if body.node_ids is not None:
        if "node" not in body.what:
            raise invalid_at("node_ids need the part node in what", "/node_ids")
        await check_nodes(session, body.node_ids)
    groups = await select_groups(session, proxy_ids)
    reasons = {id_: reason for row in groups if (reason := obstacle_of(row, body)) for id_ in row["ids"]}
    if reasons:
        raise not_rotatable(dict(sorted(reasons.items())))
    now = cause()
    found = await session.rows(
        "rotation.insert",
        proxy_ids=proxy_ids,
        what=body.what,
        overlap_s=body.overlap_s,
        node_ids=body.node_ids,
        actor=now.actor,
        request_id=now.request_id,
    )
    return [row["id"] for row in found]


def obstacle_of(row: Row, body: RotateRequest) -> str | None:
    """Return why proxies of the group cannot be rotated as requested, or None."""
    if not runs(row):
        return "it does not run: change it instead"
    return why_not_rotatable(body.what, engine=row["engine"], has_login=row["has_login"], exit_=row["exit"])


async def forget(session: Session) -> None:
    """Delete rotations that ended long ago."""
    await session.execute("rotation.forget", kept=timedelta(days=KEPT_DAYS))
