"""Rotation: asked for, of one proxy or of many; what is asked is taken in turn by the masters."""

from collections.abc import Sequence

from master.db.database import Row, Session
from master.db.rows import existing
from master.domain.proxies.creation import check_nodes
from master.domain.proxies.rotatable import why_not_rotatable
from master.domain.proxies.schemas import FleetFilter
from master.domain.proxies.service import lock_fleet, lock_placement
from master.domain.rotation.schemas import RotateRequest, Rotation, rotation_from_row
from master.domain.rotation.steps import begin
from master.errors import not_rotatable, pointed


async def get(session: Session, id_: int) -> Rotation:
    """Raises NotFound."""
    return rotation_from_row(existing(await session.row("rotation.select_one", id=id_), "rotation", id_))


async def rotate(session: Session, proxy_id: int, body: RotateRequest) -> Rotation:
    """Begin to rotate one proxy; when its node is away, as soon as a master looks at it, which then says so.

    Raises NotFound, Invalid, NotRotatable, InsufficientCapacity; the transaction's end raises RotationUnderWay.
    """
    row = existing(await session.row("proxies.select_one", id=proxy_id), "proxy", proxy_id)
    if "node" in body.what:
        await lock_placement(session)
    [id_] = await ask(session, [row], body)
    await begin(session, id_)
    return await get(session, id_)


async def rotate_fleet(session: Session, fleet: FleetFilter, body: RotateRequest) -> list[int]:
    """Begin to rotate all that match; the rotations' ids. Raises CountDiffers, Invalid, NotRotatable."""
    _, rows = await lock_fleet(session, fleet)
    return await ask(session, rows, body)


async def rotate_stack(session: Session, stack_id: int, body: RotateRequest) -> list[int]:
    """Begin to rotate all proxies of a stack; the rotations' ids. Raises Invalid, NotRotatable."""
    rows = await session.rows("proxies.select_of_stack", id=stack_id)
    return await ask(session, rows, body) if rows else []


async def ask(session: Session, rows: Sequence[Row], body: RotateRequest) -> list[int]:
    """A rotation of each of these proxies, which the masters then take in turn. Raises Invalid, NotRotatable."""
    if body.node_ids is not None:
        if "node" not in body.what:
            raise pointed("node_ids are for a rotation of the node", "/node_ids")
        await check_nodes(session, body.node_ids)
    hindrances = {row["id"]: reason for row in rows if (reason := hindered(row, body))}
    if hindrances:
        raise not_rotatable(hindrances)
    found = await session.rows(
        "rotation.insert",
        proxy_ids=[row["id"] for row in rows],
        what=body.what,
        overlap_s=body.overlap_s,
        node_ids=body.node_ids,
    )
    return [row["id"] for row in found]


def hindered(row: Row, body: RotateRequest) -> str | None:
    """Why this proxy cannot be rotated so."""
    if not row["enabled"] or row["node_state"] == "disabled":
        return "it does not run: change it instead"
    return why_not_rotatable(body.what, engine=row["engine"], username=row["username"], exit_=row["exit"])
