"""Rotation by make before break: each step of one is a transaction of its own, with its event.

Lock order: placement, the nodes by id, the ip, the rotation. A rotation is looked at again under its lock: whatever
died in between, or did the same at the same time, each step is done once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from master.conflicts import not_rotatable, pointed
from master.credentials import PASSWORD_LETTERS, USERNAME_LETTERS, drawn
from master.db import Row, Session
from master.errors import NotFound
from master.event_types import EventType
from master.events import Event, record_events
from master.model.rotation import Rotation, RotationState, shown_rotation
from master.placement import Candidate, Demand, Obstacle, place
from master.placing import check_nodes, no_room
from master.proxies import known, lock_fleet, lock_placement
from master.questions.proxies import Fleet
from master.turns import hindrance, next_exit
from master.wishes.rotation import RotateWish

START_S = 30
"""For a node to confirm the new endpoint."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """A rotation with its proxy, and the nodes that it concerns, by id; all of them are locked."""

    row: Row
    nodes: Mapping[int, Row]


async def get(session: Session, id_: int) -> Rotation:
    """Raises NotFound."""
    row = await session.row("rotations.select_one", id=id_)
    if row is None:
        raise NotFound(f"there is no rotation {id_}", {"rotation_id": id_})
    return shown_rotation(row)


async def rotate(session: Session, proxy_id: int, wish: RotateWish) -> Rotation:
    """Begin to rotate one proxy; when its node is away, as soon as a master looks at it, which then says so.

    Raises NotFound, Invalid, NotRotatable, NoRoom; the transaction's end raises RotationUnderWay.
    """
    row = known(proxy_id, await session.row("proxies.select_one", id=proxy_id))
    if "node" in wish.what:
        await lock_placement(session)
    [id_] = await ask(session, [row], wish)
    await begin(session, id_)
    return await get(session, id_)


async def rotate_fleet(session: Session, fleet: Fleet, wish: RotateWish) -> list[int]:
    """Begin to rotate all that match; the rotations' ids. Raises CountDiffers, Invalid, NotRotatable."""
    _, rows = await lock_fleet(session, fleet)
    return await ask(session, rows, wish)


async def rotate_stack(session: Session, stack_id: int, wish: RotateWish) -> list[int]:
    """Begin to rotate all proxies of a stack; the rotations' ids. Raises Invalid, NotRotatable."""
    rows = await session.rows("stacks.select_proxies", id=stack_id)
    return await ask(session, rows, wish) if rows else []


async def ask(session: Session, rows: Sequence[Row], wish: RotateWish) -> list[int]:
    """A rotation of each of these proxies, which the masters then take in turn. Raises Invalid, NotRotatable."""
    if wish.node_ids is not None:
        if "node" not in wish.what:
            raise pointed("node_ids are for a rotation of the node", "/node_ids")
        await check_nodes(session, wish.node_ids)
    hindrances = {row["id"]: reason for row in rows if (reason := hindered(row, wish))}
    if hindrances:
        raise not_rotatable(hindrances)
    found = await session.rows(
        "rotations.insert",
        proxy_ids=[row["id"] for row in rows],
        what=wish.what,
        overlap_s=wish.overlap_s,
        node_ids=wish.node_ids,
    )
    return [row["id"] for row in found]


def hindered(row: Row, wish: RotateWish) -> str | None:
    """Why this proxy cannot be rotated so."""
    if not row["enabled"] or row["node_state"] == "disabled":
        return "it does not run: change it instead"
    return hindrance(wish.what, engine=row["engine"], username=row["username"], exit_=row["exit"])


async def begin(session: Session, id_: int) -> None:
    """Draw the new endpoint and have its node run it. Raises Invalid, NotRotatable, NoRoom."""
    row = await session.row("rotations.select_standing", id=id_)
    if row is None or row["state"] != "waiting":
        return
    target = await choose(session, row) if "node" in row["what"] else row["node_id"]
    standing = await locked(session, id_, "waiting", target=target)
    if standing is None or standing.row["node_id"] != row["node_id"]:
        return
    row, node = standing.row, standing.nodes[target]
    exit_ = exit_after(row, node)
    is_here = target == row["node_id"]
    if set(row["what"]) != {"exit"}:
        await insert_endpoint(session, row, node, exit_)
    if is_here and exit_ != row["exit"]:
        await session.execute("rotations.set_exit", proxy_id=row["proxy_id"], exit=exit_)
    await session.execute(
        "rotations.start", id=id_, within=timedelta(seconds=START_S), exit_before=row["exit"] if is_here else None
    )
    await record_events(session, [event("proxy.rotation_begun", row, {"to_node_id": target})])


async def insert_endpoint(session: Session, row: Row, node: Row, exit_: Mapping[str, Any]) -> None:
    """Raises NoRoom."""
    username, password = row["username"], row["password"]
    if "credentials" in row["what"]:
        username, password = drawn(USERNAME_LETTERS), drawn(PASSWORD_LETTERS)
    await session.execute(
        "rotations.insert_endpoint",
        proxy_id=row["proxy_id"],
        rotation_id=row["id"],
        node_id=node["id"],
        port=await port_of(session, row, node),
        username=username,
        password=password,
        exit=exit_,
    )


async def port_of(session: Session, row: Row, node: Row) -> int:
    """The port that it has, if that may stay and the node has it to give; else the lowest free one. Raises NoRoom."""
    await session.execute("nodes.lock_ip", ip=node["ip"])
    if "port" not in row["what"]:
        if node["id"] == row["node_id"]:
            return row["port"]
        if await has_free(session, node, row["port"]):
            return row["port"]
    port = await session.value("proxies.lowest_free_port", node_id=node["id"])
    if port is None:
        raise no_room((Obstacle(node_id=node["id"], reason="no port is free"),))
    return port


async def has_free(session: Session, node: Row, port: int) -> bool:
    """Whether the node, whose ip is locked, has this port to give."""
    if not node["port_from"] <= port <= node["port_to"]:
        return False
    where = {"node_id": node["id"], "port": port}
    is_held = await session.row("proxies.port_holder", **where) is not None
    return not is_held and not await session.value("rotations.has_stranger", **where)


async def choose(session: Session, row: Row) -> int:
    """Another node: one that is named, or one of the same location. Raises Invalid, NoRoom."""
    await lock_placement(session)
    if row["location_id"] is None and row["node_ids"] is None:
        raise pointed(f"node {row['node_id']} has no location: say node_ids", "/node_ids")
    location_id = row["location_id"] if row["node_ids"] is None else None
    rows = await session.rows(
        "proxies.select_candidates",
        location_id=location_id,
        node_ids=row["node_ids"],
        engine=row["engine"],
        port=None,
    )
    exit_: Mapping[str, Any] = row["exit"]
    if "exit" in row["what"] and exit_.get("mode") == "address":
        exit_ = {}
    others = [Candidate(**each) for each in rows if each["id"] != row["node_id"]]
    chosen = place(others, Demand(engine=row["engine"], exit=exit_))
    if isinstance(chosen, tuple):
        raise no_room(chosen)
    return chosen


def exit_after(row: Row, node: Row) -> dict[str, Any]:
    """The exit that the proxy will have there. Raises NotRotatable."""
    if "exit" not in row["what"]:
        return dict(row["exit"])
    exit_ = next_exit(row["exit"], node["local_addresses"])
    if exit_ is None:
        raise not_rotatable({row["proxy_id"]: f"node {node['id']} has no other address to leave by"})
    return exit_


async def succeed(session: Session, id_: int) -> None:
    """The new endpoint is the proxy's own; the one before drains, if it shall."""
    standing = await locked(session, id_, "starting")
    if standing is None:
        return
    row = standing.row
    proxy_id, is_over = row["proxy_id"], True
    if await session.value("rotations.become_own", proxy_id=proxy_id, rotation_id=id_) is not None:
        before = {name: row[name] for name in ("node_id", "port", "username", "password")}
        exit_ = row["exit"] if row["exit_before"] is None else row["exit_before"]
        await session.execute("rotations.become_former", proxy_id=proxy_id, rotation_id=id_, **before, exit=exit_)
        is_over = row["overlap_s"] == 0
        if is_over:
            await session.execute("rotations.delete_endpoint", proxy_id=proxy_id, rotation_id=id_)
    if is_over:
        await session.execute("rotations.end", id=id_, state="done", reason=None)
    else:
        await session.execute("rotations.overlap", id=id_)
    now = known(proxy_id, await session.row("proxies.select_one", id=proxy_id))
    details = {"port": now["port"], "version": now["version"], "from_node_id": row["node_id"]}
    await record_events(session, [event("proxy.rotated", {**row, "node_id": now["node_id"]}, details)])


async def fail(session: Session, id_: int, reason: str) -> None:
    """The proxy is again as it was before; in the overlap there is nothing left to fail."""
    standing = await locked(session, id_, "waiting", "starting")
    if standing is not None:
        await undo(session, standing)
        await session.execute("rotations.end", id=id_, state="failed", reason=reason)
        await record_events(session, [event("proxy.rotation_failed", standing.row, {"reason": reason})])
        return
    rotation = await session.row("rotations.lock", id=id_)
    if rotation is not None and await session.row("rotations.select_standing", id=id_) is None:
        state = "done" if rotation["state"] == "overlap" else "failed"
        await session.execute("rotations.end", id=id_, state=state, reason=reason if state == "failed" else None)


async def wait(session: Session, id_: int) -> None:
    """Its node went away: take everything back, and keep the turn for when it returns."""
    standing = await locked(session, id_, "starting")
    if standing is not None:
        await undo(session, standing)
        await session.execute("rotations.wait", id=id_)


async def undo(session: Session, standing: Standing) -> None:
    """What `begin` did."""
    row = standing.row
    await session.execute("rotations.delete_endpoint", proxy_id=row["proxy_id"], rotation_id=row["id"])
    if row["exit_before"] is not None:
        await session.execute("rotations.set_exit", proxy_id=row["proxy_id"], exit=row["exit_before"])


async def end(session: Session, id_: int) -> None:
    """The overlap is over."""
    standing = await locked(session, id_, "overlap")
    if standing is None:
        return
    row = standing.row
    await session.execute("rotations.delete_endpoint", proxy_id=row["proxy_id"], rotation_id=id_)
    await session.execute("rotations.end", id=id_, state="done", reason=None)
    await record_events(session, [event("proxy.rotation_ended", row, {})])


async def locked(session: Session, id_: int, *states: RotationState, target: int | None = None) -> Standing | None:
    """The rotation, if it is in one of these states, and everything that it stands on, locked; also `target`, a node.

    None: somebody else was quicker, or the proxy is gone.
    """
    while (row := await session.row("rotations.select_standing", id=id_)) is not None:
        there = await session.rows("nodes.select_of_proxies", proxy_ids=[row["proxy_id"]])
        ids = {int(each["node_id"]) for each in there} | ({target} if target is not None else set[int]())
        nodes = {node["id"]: node for node in await session.rows("nodes.lock", ids=sorted(ids))}
        await session.execute("rotations.lock", id=id_)
        row = await session.row("rotations.select_standing", id=id_)
        if row is None or row["state"] not in states:
            return None
        if {row["node_id"], row["endpoint_node_id"]} - {None} <= nodes.keys():
            return Standing(row=row, nodes=nodes)
    return None


def event(type_: EventType, row: Row, details: Mapping[str, Any]) -> Event:
    """Without logins."""
    told = {"rotation_id": row["id"], "what": list(row["what"]), "scheduled": row["scheduled"], **details}
    return Event(type=type_, proxy_id=row["proxy_id"], node_id=row["node_id"], details=told)
