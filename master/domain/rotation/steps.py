"""The steps of a rotation. Each is a transaction of its own, with its event.

Lock order: placement, the nodes by id, the ip, the rotation. Each step reads the rotation again under its lock, so that
it is done once even when a master dies or two masters try it at the same time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from master.db.constraints import existing
from master.db.database import Row, Session
from master.domain.events.log import NewEvent, record_events
from master.domain.events.schemas import EventType
from master.domain.rotation.endpoints import choose_target, exit_after, insert_endpoint
from master.domain.rotation.schemas import RotationState

START_S = 30
"""How long a node may take to confirm the new endpoint, or anything at all (see the view rotation_steps)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LockedRotation:
    """A rotation with its proxy, and the nodes that it affects by id; all are locked."""

    row: Row
    nodes: Mapping[int, Row]


async def begin(session: Session, id_: int) -> None:
    """Write the new endpoint, so that its node starts it. Raises Invalid, NotRotatable, InsufficientCapacity."""
    row = await session.row("rotation.select_context", id=id_)
    if row is None or row["state"] != "waiting":
        return
    target = await choose_target(session, row) if "node" in row["what"] else row["node_id"]
    locked_rotation = await locked(session, id_, "waiting", target=target)
    if locked_rotation is None or locked_rotation.row["node_id"] != row["node_id"]:
        return
    row, node = locked_rotation.row, locked_rotation.nodes[target]
    exit_ = exit_after(row, node)
    is_here = target == row["node_id"]
    if set(row["what"]) != {"exit"}:
        await insert_endpoint(session, row, node, exit_)
    if is_here and exit_ != row["exit"]:
        await session.execute("rotation.set_exit", proxy_id=row["proxy_id"], exit=exit_)
    await session.execute(
        "rotation.start",
        id=id_,
        from_node_id=row["node_id"],
        to_node_id=target,
        within=timedelta(seconds=START_S),
        exit_before=row["exit"] if is_here else None,
    )
    await record_events(session, [event("proxy.rotation_begun", row, {"to_node_id": target})])


async def succeed(session: Session, id_: int) -> None:
    """Make the new endpoint the proxy's own. The old one keeps serving for the overlap, if there is one."""
    locked_rotation = await locked(session, id_, "starting")
    if locked_rotation is None:
        return
    row = locked_rotation.row
    proxy_id, is_over = row["proxy_id"], True
    if await session.value("rotation.adopt_endpoint", proxy_id=proxy_id, rotation_id=id_) is not None:
        before = {name: row[name] for name in ("node_id", "port", "username", "password")}
        exit_ = row["exit"] if row["exit_before"] is None else row["exit_before"]
        await session.execute("rotation.keep_former_endpoint", proxy_id=proxy_id, rotation_id=id_, **before, exit=exit_)
        is_over = row["overlap_s"] == 0
        if is_over:
            await session.execute("rotation.delete_endpoint", proxy_id=proxy_id, rotation_id=id_)
    await session.execute("rotation.switch", id=id_)
    if is_over:
        await session.execute("rotation.end", id=id_, state="done", reason=None)
    else:
        await session.execute("rotation.overlap", id=id_)
    now = existing(await session.row("proxies.select_one", id=proxy_id), "proxy", proxy_id)
    details = {"port": now["port"], "version": now["version"], "from_node_id": row["node_id"]}
    await record_events(session, [event("proxy.rotated", {**row, "node_id": now["node_id"]}, details)])


async def fail(session: Session, id_: int, reason: str) -> None:
    """Restore the proxy as it was before. A rotation in its overlap cannot fail any more."""
    locked_rotation = await locked(session, id_, "waiting", "starting")
    if locked_rotation is not None:
        await undo(session, locked_rotation)
        await session.execute("rotation.end", id=id_, state="failed", reason=reason)
        await record_events(session, [event("proxy.rotation_failed", locked_rotation.row, {"reason": reason})])
        return
    rotation = await session.row("rotation.lock", id=id_)
    if rotation is not None and await session.row("rotation.select_context", id=id_) is None:
        state = "done" if rotation["state"] == "overlap" else "failed"
        await session.execute("rotation.end", id=id_, state=state, reason=reason if state == "failed" else None)


async def wait(session: Session, id_: int) -> None:
    """Undo a rotation whose node went offline; it starts again when the node returns."""
    locked_rotation = await locked(session, id_, "starting")
    if locked_rotation is not None:
        await undo(session, locked_rotation)
        await session.execute("rotation.wait", id=id_)


async def undo(session: Session, locked_rotation: LockedRotation) -> None:
    """Undo what `begin` did."""
    row = locked_rotation.row
    await session.execute("rotation.delete_endpoint", proxy_id=row["proxy_id"], rotation_id=row["id"])
    if row["exit_before"] is not None:
        await session.execute("rotation.set_exit", proxy_id=row["proxy_id"], exit=row["exit_before"])


async def end(session: Session, id_: int) -> None:
    """End the overlap: remove the old endpoint."""
    locked_rotation = await locked(session, id_, "overlap")
    if locked_rotation is None:
        return
    row = locked_rotation.row
    await session.execute("rotation.delete_endpoint", proxy_id=row["proxy_id"], rotation_id=id_)
    await session.execute("rotation.end", id=id_, state="done", reason=None)
    await record_events(session, [event("proxy.rotation_ended", row, {})])


async def locked(
    session: Session, id_: int, *states: RotationState, target: int | None = None
) -> LockedRotation | None:
    """Lock the rotation, the nodes of its proxy and the node `target`, if the rotation is in one of these states.

    Return None when another master was quicker or the proxy was removed.
    """
    while (row := await session.row("rotation.select_context", id=id_)) is not None:
        present = await session.rows("placement.select_nodes_of_proxies", proxy_ids=[row["proxy_id"]])
        ids = {int(each["node_id"]) for each in present} | ({target} if target is not None else set[int]())
        nodes = {node["id"]: node for node in await session.rows("placement.lock_nodes", ids=sorted(ids))}
        await session.execute("rotation.lock", id=id_)
        row = await session.row("rotation.select_context", id=id_)
        if row is None or row["state"] not in states:
            return None
        if {row["node_id"], row["endpoint_node_id"]} - {None} <= nodes.keys():
            return LockedRotation(row=row, nodes=nodes)
    return None


def event(type_: EventType, row: Row, details: Mapping[str, Any]) -> NewEvent:
    """Return an event of a rotation, without logins."""
    details = {"rotation_id": row["id"], "what": list(row["what"]), "scheduled": row["scheduled"], **details}
    return NewEvent(type=type_, proxy_id=row["proxy_id"], node_id=row["node_id"], details=details)
