"""Proxies: reading, changing and removing them, one or all that a filter matches, each in one transaction."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from master import model
from master.conflicts import (
    CountDiffers,
    PortOutsideRange,
    engine_missing,
    exit_missing,
    port_taken,
    rotation_under_way,
)
from master.credentials import amended
from master.db import Row, Session
from master.errors import Invalid, NotFound, PreconditionFailed
from master.events import Event, record_events
from master.exits import lacking
from master.membership import scaled_down
from master.patches import differing
from master.questions import Fleet, ProxyFilter, ProxyList, criteria, is_unfiltered
from master.wishes.proxies import FleetChanges, ProxyChanges
from shared.proxies import NodeId, ProxyId

SETTINGS = (
    "name",
    "port",
    "protocol",
    "username",
    "password",
    "allow_ips",
    "engine",
    "exit",
    "limits",
    "rotation",
    "enabled",
    "labels",
)
ROTATED = frozenset({"port", "username", "password", "engine", "exit"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A proxy's row as it is, and its settings as they shall be."""

    row: Row
    after: Mapping[str, Any]

    @property
    def changed(self) -> list[str]:
        """Names of what will be otherwise."""
        return differing(settings(self.row), self.after)

    @property
    def takes_away(self) -> bool:
        """Whether the node will no longer want it."""
        return self.row["enabled"] and not self.after["enabled"] and self.row["node_state"] != "disabled"


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What a write did; `revisions` are those of the touched nodes that carry it."""

    matched: int
    changed: tuple[ProxyId, ...]
    revisions: Mapping[NodeId, int]


async def get(session: Session, id_: int) -> model.Proxy:
    """Raises NotFound."""
    return model.proxy(known(id_, await session.row("proxies.select_one", id=id_)))


async def page(session: Session, asked: ProxyList) -> list[model.Proxy]:
    """Those that match, by id."""
    return [model.proxy(row) for row in await matching(session, asked, after=asked.after, limit=asked.limit)]


async def matching(
    session: Session,
    asked: ProxyFilter,
    *,
    node_ids: Sequence[int] | None = None,
    after: int = 0,
    limit: int | None = None,
) -> list[Row]:
    """Rows of the proxies that the filter matches, by id; with node_ids only those on these nodes."""
    where = criteria(asked, ProxyFilter)
    return await session.rows("proxies.select_page", **where, node_ids=node_ids, after=after, limit=limit)


async def lock_placement(session: Session) -> None:
    """Whoever chooses a node, or changes what nodes take on, does this first, before a row is locked."""
    await session.execute("proxies.lock_placement")


async def change(session: Session, id_: int, wish: ProxyChanges, versions: frozenset[int] | None = None) -> model.Proxy:
    """One proxy; with `versions` only when it is at one of them.

    Raises NotFound, PreconditionFailed, Invalid, PortTaken, PortOutsideRange, EngineMissing, ExitMissing; the
    transaction's end raises NameTaken.
    """
    given = wish.given()
    node, row = await locked(session, id_)
    check_version(row, versions)
    wanted = Change(row=row, after=amended(settings(row), given))
    if "port" in wanted.changed:
        await check_port(session, node, wanted.after["port"])
    check_engines([node], [wanted])
    check_exits([node], [wanted])
    await write(session, [wanted])
    return await get(session, id_)


async def change_fleet(session: Session, fleet: Fleet, wish: FleetChanges) -> Outcome:
    """All that match. Raises CountDiffers, Invalid, EngineMissing, ExitMissing."""
    nodes, rows = await lock_fleet(session, fleet)
    given = wish.given()
    wanted = [Change(row=row, after=amended(settings(row), given)) for row in rows]
    check_engines(nodes, wanted)
    check_exits(nodes, wanted)
    return await write(session, wanted)


async def remove(session: Session, id_: int, versions: frozenset[int] | None = None) -> Outcome:
    """One proxy; with `versions` only when it is at one of them. Raises NotFound, PreconditionFailed."""
    _, row = await locked(session, id_)
    check_version(row, versions)
    return await delete(session, [row])


async def remove_fleet(session: Session, fleet: Fleet) -> Outcome:
    """All that match. Raises CountDiffers, Invalid."""
    _, rows = await lock_fleet(session, fleet)
    return await delete(session, rows)


async def locked(session: Session, id_: int) -> tuple[Row, Row]:
    """A proxy's node and the proxy, all nodes that a change of it concerns being locked. Raises NotFound.

    A rotation may take it to another node while the lock is waited for.
    """
    while True:
        ids = [row["node_id"] for row in await session.rows("nodes.select_of_proxies", proxy_ids=[id_])]
        nodes = {node["id"]: node for node in await session.rows("nodes.lock", ids=ids)}
        row = known(id_, await session.row("proxies.select_one", id=id_))
        if row["node_id"] in nodes:
            return nodes[row["node_id"]], row


async def lock_fleet(session: Session, fleet: Fleet) -> tuple[list[Row], list[Row]]:
    """The locked nodes of all that match, and what matches now that they are locked. Raises CountDiffers, Invalid."""
    if is_unfiltered(fleet) and not fleet.all:
        raise Invalid(
            "without a filter this means every proxy: say all=true",
            {"errors": [{"parameter": "all", "detail": "must be true when there is no filter"}]},
        )
    proxy_ids = [row["id"] for row in await matching(session, fleet)]
    ids = [row["node_id"] for row in await session.rows("nodes.select_of_proxies", proxy_ids=proxy_ids)]
    nodes = await session.rows("nodes.lock", ids=ids)
    rows = await matching(session, fleet, node_ids=ids)
    if len(rows) != fleet.expect:
        detail = f"the filter matches {len(rows)} proxies, not {fleet.expect}: nothing was done"
        raise CountDiffers(detail, {"expected": fleet.expect, "matched": len(rows)})
    return nodes, rows


async def write(session: Session, wanted: Sequence[Change]) -> Outcome:
    """Bring what really differs into the database; the nodes are locked already."""
    real = [one for one in wanted if one.changed]
    if not real:
        return Outcome(matched=len(wanted), changed=(), revisions={})
    await check_rotating(session, real)
    rows = [{"id": one.row["id"], **one.after} for one in real]
    if any("rotation" in one.changed for one in real):
        await session.execute("rotations.schedule", rows=rows)
    versions = {row["id"]: row["version"] for row in await session.rows("proxies.update", rows=rows)}
    await record_removals(session, Counter(one.row["node_id"] for one in real if one.takes_away))
    revisions = await revisions_of(session, {one.row["node_id"] for one in real})
    await record_events(session, [updated(one, versions[one.row["id"]]) for one in real])
    return Outcome(matched=len(wanted), changed=tuple(one.row["id"] for one in real), revisions=revisions)


async def delete(session: Session, rows: Sequence[Row]) -> Outcome:
    """Take these away, each by itself: their stacks want so many fewer. Their nodes are locked already."""
    outcome = await take_away(session, rows)
    await record_events(session, [*(deleted(row) for row in rows), *await scaled_down(session, rows)])
    return outcome


async def take_away(session: Session, rows: Sequence[Row]) -> Outcome:
    """Without a word in the log; their nodes are locked already."""
    await session.execute("proxies.delete", ids=[row["id"] for row in rows])
    wanted = (row["node_id"] for row in rows if row["enabled"] and row["node_state"] != "disabled")
    await record_removals(session, Counter(wanted))
    revisions = await revisions_of(session, {row["node_id"] for row in rows})
    return Outcome(matched=len(rows), changed=tuple(row["id"] for row in rows), revisions=revisions)


async def record_removals(session: Session, counts: Mapping[int, int]) -> None:
    """Tell the wipe guard how many go from each node on purpose; the nodes' revisions are raised already."""
    real = {node_id: count for node_id, count in counts.items() if count}
    if real:
        await session.execute("nodes.insert_removals", ids=list(real), counts=list(real.values()))


async def revisions_of(session: Session, node_ids: set[NodeId]) -> dict[NodeId, int]:
    """The present revision of each."""
    rows = await session.rows("nodes.select_revisions", ids=sorted(node_ids))
    return {row["id"]: row["revision"] for row in rows}


async def check_port(session: Session, node: Row, port: int) -> None:
    """Raises PortOutsideRange or PortTaken; locks the ip of the node, whose row is locked already."""
    if not node["port_from"] <= port <= node["port_to"]:
        raise port_outside(port, node["id"], f"{node['port_from']}-{node['port_to']}")
    await session.execute("nodes.lock_ip", ip=node["ip"])
    holder = await session.row("proxies.port_holder", node_id=node["id"], port=port)
    if holder is not None:
        raise port_taken(port, holder["id"], holder["node_id"])


async def move_ports(session: Session, node_id: NodeId, ids: Sequence[int]) -> list[Event]:
    """Give these proxies of a node, whose row is locked already, other ports; what happened, to be recorded."""
    if not ids:
        return []
    node = await session.row("nodes.select_one", id=node_id)
    await session.execute("nodes.lock_ip", ip=node["ip"] if node else "")
    rows = await session.rows("proxies.move_ports", node_id=node_id, ids=list(ids))
    return [
        Event(
            type="proxy.moved",
            proxy_id=row["id"],
            node_id=node_id,
            details={"before": row["before"], "port": row["port"], "version": row["version"]},
        )
        for row in rows
    ]


async def check_rotating(session: Session, wanted: Sequence[Change]) -> None:
    """Raises RotationUnderWay for a change of what a rotation is about to put in place."""
    ids = [one.row["id"] for one in wanted if ROTATED.intersection(one.changed)]
    rotating = await session.row("rotations.select_next", proxy_ids=ids) if ids else None
    if rotating is not None:
        raise rotation_under_way(rotating["proxy_id"], rotating["rotation_id"])


def port_outside(port: int, node_id: NodeId, ports: str) -> PortOutsideRange:
    """Names the range."""
    members = {"node_id": node_id, "port": port, "ports": ports}
    return PortOutsideRange(f"port {port} is outside the range {ports} of node {node_id}", members)


def check_engines(nodes: Sequence[Row], wanted: Sequence[Change]) -> None:
    """Raises EngineMissing when a new engine is not on its proxy's node."""
    engines = {node["id"]: node["engines"] for node in nodes}
    for engine in {one.after["engine"] for one in wanted if one.after["engine"] != one.row["engine"]}:
        lacking = {one.row["node_id"] for one in wanted if engine not in engines[one.row["node_id"]]}
        if lacking:
            raise engine_missing(engine, lacking)


def check_exits(nodes: Sequence[Row], wanted: Sequence[Change]) -> None:
    """Raises ExitMissing when a new exit is not one of its proxy's node."""
    rows = {node["id"]: node for node in nodes}
    lacks: dict[int, str] = {}
    for one in wanted:
        node = rows[one.row["node_id"]]
        lack = lacking(one.after["exit"], node["local_addresses"], node["ipv6_prefixes"])
        if lack is not None and "exit" in one.changed:
            lacks[node["id"]] = lack
    if lacks:
        raise exit_missing([(rows[id_], lack) for id_, lack in lacks.items()])


def check_version(row: Row, versions: frozenset[int] | None) -> None:
    """Raises PreconditionFailed."""
    if versions is not None and row["version"] not in versions:
        detail = f"proxy {row['id']} is at version {row['version']}"
        raise PreconditionFailed(detail, {"version": row["version"]})


def settings(row: Row) -> dict[str, Any]:
    """What may be changed of a proxy."""
    return {name: row[name] for name in SETTINGS}


def updated(one: Change, version: int) -> Event:
    """The event of a change."""
    details = {"changed": one.changed, "version": version}
    return Event(type="proxy.updated", proxy_id=one.row["id"], node_id=one.row["node_id"], details=details)


def deleted(row: Row) -> Event:
    """The event of a removal."""
    details = {"name": row["name"], "port": row["port"]}
    subjects = {"proxy_id": row["id"], "node_id": row["node_id"], "stack_id": row["stack_id"]}
    return Event(type="proxy.deleted", **subjects, details=details)


def known(id_: int, row: Row | None) -> Row:
    """The row, or NotFound."""
    if row is None:
        raise NotFound(f"there is no proxy {id_}", {"proxy_id": id_})
    return row
