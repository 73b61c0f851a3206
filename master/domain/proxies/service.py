"""Read, change and remove proxies: one, or all that a filter matches, each call in one transaction."""

from collections import Counter
from collections.abc import Sequence

from master.api.writes.outcomes import WriteOutcome, revisions_of
from master.db.constraints import existing
from master.db.database import Row, Session
from master.domain.events.log import record_events
from master.domain.proxies.changes import (
    ProxyChange,
    check_engines,
    check_exits,
    check_version,
    settings,
    updated_event,
)
from master.domain.proxies.ports import check_port
from master.domain.proxies.removal import delete, record_removals
from master.domain.proxies.schemas import (
    FleetFilter,
    FleetPatch,
    Proxy,
    ProxyFilter,
    ProxyList,
    ProxyPage,
    ProxyPatch,
    proxy_from_row,
)
from master.domain.proxies.settings import check_expiries, patched_settings
from master.errors import CountDiffers, Invalid, rotation_under_way
from master.schemas.filters import filter_parameters, is_unfiltered

ROTATED = frozenset({"port", "username", "password", "engine", "exit"})


async def get(session: Session, id_: int) -> Proxy:
    """Return one proxy. Raises NotFound."""
    return proxy_from_row(existing(await session.row("proxies.select_one", id=id_), "proxy", id_))


async def page(session: Session, query: ProxyList) -> ProxyPage:
    """Return a page of the proxies that match."""
    where = filter_parameters(query, ProxyFilter)
    rows = await session.rows(f"proxies.select_page by {query.sort}", **where, **query.position)
    items = [proxy_from_row(row) for row in rows]
    shown = items if query.shows_secrets else [proxy.without_secrets() for proxy in items]
    return ProxyPage(items=shown, next=query.next_after(rows))


async def matching(
    session: Session,
    query: ProxyFilter,
    *,
    node_ids: Sequence[int] | None = None,
    after: int | None = None,
    limit: int | None = None,
) -> list[Row]:
    """Return the rows of the proxies that the filter matches, by id; with `node_ids` only those on these nodes."""
    where = filter_parameters(query, ProxyFilter)
    return await session.rows("proxies.select_matching", **where, node_ids=node_ids, after_id=after, limit=limit)


async def lock_placement(session: Session) -> None:
    """Lock placement. A transaction that chooses a node or changes its capacity does this before it locks any row."""
    await session.execute("placement.lock")


async def change(
    session: Session,
    id_: int,
    body: ProxyPatch,
    versions: frozenset[int] | None = None,
    *,
    allow_past: bool = False,
) -> Proxy:
    """Change one proxy; with `versions` only when it is at one of them.

    Raises NotFound, PreconditionFailed, Invalid, PortTaken, PortOutsideRange, EngineMissing, ExitMissing; the
    transaction's end raises NameTaken.
    """
    given = body.given()
    node, row = await locked(session, id_)
    check_version(row, versions)
    change_ = ProxyChange(row=row, after=patched_settings(settings(row), given))
    await check_expiries(session, [(row, change_.after)], allow_past=allow_past)
    if "port" in change_.changed:
        await check_port(session, node, change_.after["port"])
    check_engines([node], [change_])
    check_exits([node], [change_])
    await write(session, [change_])
    return await get(session, id_)


async def change_fleet(
    session: Session, fleet: FleetFilter, body: FleetPatch, *, allow_past: bool = False
) -> WriteOutcome:
    """Change all proxies that match. Raises CountDiffers, Invalid, EngineMissing, ExitMissing."""
    nodes, rows = await lock_fleet(session, fleet)
    given = body.given()
    changes = [ProxyChange(row=row, after=patched_settings(settings(row), given)) for row in rows]
    await check_expiries(session, [(one.row, one.after) for one in changes], allow_past=allow_past)
    check_engines(nodes, changes)
    check_exits(nodes, changes)
    return await write(session, changes)


async def remove(session: Session, id_: int, versions: frozenset[int] | None = None) -> WriteOutcome:
    """Remove one proxy; with `versions` only when it is at one of them. Raises NotFound, PreconditionFailed."""
    _, row = await locked(session, id_)
    check_version(row, versions)
    return await delete(session, [row])


async def remove_fleet(session: Session, fleet: FleetFilter) -> WriteOutcome:
    """Remove all proxies that match. Raises CountDiffers, Invalid."""
    _, rows = await lock_fleet(session, fleet)
    return await delete(session, rows)


async def locked(session: Session, id_: int) -> tuple[Row, Row]:
    """Lock all nodes that a change of the proxy affects; return its node and its row. Raises NotFound.

    A rotation may move the proxy to another node while this waits for the lock, so it checks and tries again.
    """
    while True:
        ids = [row["node_id"] for row in await session.rows("placement.select_nodes_of_proxies", proxy_ids=[id_])]
        nodes = {node["id"]: node for node in await session.rows("placement.lock_nodes", ids=ids)}
        row = existing(await session.row("proxies.select_one", id=id_), "proxy", id_)
        if row["node_id"] in nodes:
            return nodes[row["node_id"]], row


async def lock_fleet(session: Session, fleet: FleetFilter) -> tuple[list[Row], list[Row]]:
    """Lock the nodes of all proxies that match; return nodes and matching proxies. Raises CountDiffers, Invalid."""
    check_filtered(fleet)
    proxy_ids = [row["id"] for row in await matching(session, fleet)]
    ids = [row["node_id"] for row in await session.rows("placement.select_nodes_of_proxies", proxy_ids=proxy_ids)]
    nodes = await session.rows("placement.lock_nodes", ids=ids)
    rows = await matching(session, fleet, node_ids=ids)
    check_count(fleet, len(rows))
    return nodes, rows


async def select_fleet(session: Session, fleet: FleetFilter) -> list[Row]:
    """Return the proxies that match, without locks. Raises CountDiffers, Invalid."""
    check_filtered(fleet)
    rows = await matching(session, fleet, limit=fleet.expect + 1)
    check_count(fleet, len(rows) if len(rows) <= fleet.expect else len(await matching(session, fleet)))
    return rows


def check_filtered(fleet: FleetFilter) -> None:
    """Check that there is a filter, or that all proxies are meant. Raises Invalid."""
    if is_unfiltered(fleet, ProxyFilter) and not fleet.all:
        raise Invalid(
            "without a filter this affects every proxy: add all=true",
            {"errors": [{"parameter": "all", "detail": "must be true when there is no filter"}]},
        )


def check_count(fleet: FleetFilter, matched: int) -> None:
    """Check that as many proxies match as expected. Raises CountDiffers."""
    if matched != fleet.expect:
        detail = f"the filter matches {matched} proxies, not {fleet.expect}, so nothing was done"
        raise CountDiffers(detail, {"expected": fleet.expect, "matched": matched})


async def write(session: Session, changes: Sequence[ProxyChange]) -> WriteOutcome:
    """Write the changes that differ from the present settings. The nodes are locked."""
    differing = [one for one in changes if one.changed]
    if not differing:
        return WriteOutcome(matched=len(changes), changed=(), revisions={})
    await check_rotating(session, differing)
    rows = [{"id": one.row["id"], **one.after} for one in differing]
    if any("rotation" in one.changed for one in differing):
        await session.execute("proxies.set_schedules", rows=rows)
    versions = {row["id"]: row["version"] for row in await session.rows("proxies.update", rows=rows)}
    await record_removals(session, Counter(one.row["node_id"] for one in differing if one.stops_proxy))
    revisions = await revisions_of(session, {one.row["node_id"] for one in differing})
    await record_events(session, [updated_event(one, versions[one.row["id"]]) for one in differing])
    return WriteOutcome(matched=len(changes), changed=tuple(one.row["id"] for one in differing), revisions=revisions)


async def check_rotating(session: Session, changes: Sequence[ProxyChange]) -> None:
    """Refuse to change settings that a rotation is about to replace. Raises RotationUnderWay."""
    ids = [one.row["id"] for one in changes if ROTATED.intersection(one.changed)]
    rotating = await session.row("proxies.select_next_endpoints", proxy_ids=ids) if ids else None
    if rotating is not None:
        raise rotation_under_way(rotating["proxy_id"], rotating["rotation_id"])
