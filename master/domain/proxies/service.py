"""Read, change and remove single proxies, each call in one transaction."""

from collections.abc import Sequence

from master.api.writes.outcomes import WriteOutcome
from master.db.constraints import existing
from master.db.database import Row, Session
from master.domain.events.log import record_events
from master.domain.proxies.bulk_changes import ROTATED, check_rotating, set_schedules
from master.domain.proxies.changes import (
    SettingsChange,
    check_engines,
    check_exits,
    check_version,
    runs,
    settings,
    updated_event,
)
from master.domain.proxies.ports import check_port
from master.domain.proxies.removal import delete, record_removals
from master.domain.proxies.schemas import Proxy, ProxyFilter, ProxyList, ProxyPage, ProxyPatch, proxy_from_row
from master.domain.proxies.settings import check_expiries, patched_settings
from master.schemas.filters import filter_parameters
from shared.proxies import NodeId


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
    session: Session, query: ProxyFilter, *, after: int | None = None, limit: int | None = None
) -> list[Row]:
    """Return the rows of the proxies that the filter matches, by id."""
    where = filter_parameters(query, ProxyFilter)
    return await session.rows("proxies.select_matching", **where, after_id=after, limit=limit)


async def lock_placement(session: Session) -> None:
    """Lock placement. A transaction that chooses a node or changes its capacity does this before it locks any row."""
    await session.execute("placement.lock")


async def lock_placement_among(
    session: Session, *, location_ids: Sequence[int] | None = None, node_ids: Sequence[int] | None = None
) -> list[NodeId]:
    """Lock placement among the nodes of these locations, these nodes, or the nodes that are both; return their ids.

    A transaction that then chooses among these nodes alone needs no lock of the others.
    """
    rows = await session.rows("placement.select_ids", location_ids=location_ids, node_ids=node_ids)
    ids = [NodeId(row["id"]) for row in rows]
    await session.rows("placement.lock_some", ids=ids)
    return ids


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
    before = settings(row)
    after = patched_settings(before, given)
    change_ = SettingsChange(ids=[row["id"]], node_id=row["node_id"], runs=runs(row), before=before, after=after)
    await check_expiries(session, [(before, after)], allow_past=allow_past)
    if "port" in change_.changed:
        await check_port(session, node, change_.after["port"])
    check_engines([node], [change_])
    check_exits([node], [change_])
    await write(session, change_)
    return await get(session, id_)


async def remove(session: Session, id_: int, versions: frozenset[int] | None = None) -> WriteOutcome:
    """Remove one proxy; with `versions` only when it is at one of them. Raises NotFound, PreconditionFailed."""
    node, row = await locked(session, id_)
    check_version(row, versions)
    return await delete(session, [row["id"]], [node])


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


async def write(session: Session, change_: SettingsChange) -> None:
    """Write the change of one proxy, if it changes anything. Its nodes are locked. Raises RotationUnderWay."""
    if not change_.changed:
        return
    ids = change_.ids
    await check_rotating(session, ids if ROTATED.intersection(change_.changed) else ())
    await set_schedules(session, [change_] if "rotation" in change_.changed else ())
    columns = {name: value for name, value in change_.after.items() if name != "rotation"}
    version = await session.value("proxies.update", id=ids[0], **columns)
    await record_removals(session, {change_.node_id: int(change_.stops_proxies)})
    await record_events(session, [updated_event(change_, version)])
