"""Select, lock, change and remove all proxies that a filter matches, each call in one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from master.api.writes.outcomes import WriteOutcome
from master.db.database import Row, Session
from master.domain.proxies.bulk_changes import change_proxies
from master.domain.proxies.changes import ChangeRule
from master.domain.proxies.removal import delete
from master.domain.proxies.schemas import FleetFilter, FleetPatch, ProxyFilter
from master.domain.proxies.service import matching
from master.domain.proxies.settings import patched_settings
from master.errors import CountDiffers, Invalid
from master.schemas.filters import filter_parameters, is_unfiltered
from shared.proxies import NodeId, ProxyId


@dataclass(frozen=True, kw_only=True, slots=True)
class LockedFleet:
    """Proxies by node; the rows of all nodes that a change of them affects are locked."""

    nodes: Sequence[Row]
    by_node: Mapping[NodeId, Sequence[ProxyId]]

    @property
    def ids(self) -> list[ProxyId]:
        """Return the ids of the proxies, in order."""
        return sorted(id_ for ids in self.by_node.values() for id_ in ids)


async def change_fleet(
    session: Session, filter_: FleetFilter, body: FleetPatch, *, allow_past: bool = False
) -> WriteOutcome:
    """Change all proxies that match. Raises CountDiffers, Invalid, EngineMissing, ExitMissing, RotationUnderWay."""
    fleet = await lock_fleet(session, filter_)
    given = body.given()
    rule = ChangeRule(
        settings=lambda _, before: patched_settings(before, given), login=given, labels=given.get("labels") or {}
    )
    return await change_proxies(session, fleet.ids, fleet.nodes, rule, allow_past=allow_past)


async def remove_fleet(session: Session, filter_: FleetFilter) -> WriteOutcome:
    """Remove all proxies that match. Raises CountDiffers, Invalid."""
    fleet = await lock_fleet(session, filter_)
    return await delete(session, fleet.ids, fleet.nodes)


async def lock_fleet(session: Session, filter_: FleetFilter) -> LockedFleet:
    """Lock the nodes of all proxies that match, and those of their second endpoints. Raises CountDiffers, Invalid."""
    check_filtered(filter_)
    found = await ids_by_node(session, filter_)
    proxy_ids = [id_ for ids in found.values() for id_ in ids]
    ids = [row["node_id"] for row in await session.rows("placement.select_nodes_of_proxies", proxy_ids=proxy_ids)]
    nodes = await session.rows("placement.lock_nodes", ids=ids)
    fleet = LockedFleet(nodes=nodes, by_node=await ids_by_node(session, filter_, node_ids=ids))
    check_count(filter_, len(fleet.ids))
    return fleet


async def select_fleet(session: Session, filter_: FleetFilter) -> list[Row]:
    """Return the proxies that match, without locks. Raises CountDiffers, Invalid."""
    check_filtered(filter_)
    rows = await matching(session, filter_, limit=filter_.expect + 1)
    is_counted = len(rows) <= filter_.expect
    check_count(filter_, len(rows) if is_counted else sum(map(len, (await ids_by_node(session, filter_)).values())))
    return rows


def check_filtered(filter_: FleetFilter) -> None:
    """Check that there is a filter, or that all proxies are meant. Raises Invalid."""
    if is_unfiltered(filter_, ProxyFilter) and not filter_.all:
        raise Invalid(
            "without a filter this affects every proxy: add all=true",
            {"errors": [{"parameter": "all", "detail": "must be true when there is no filter"}]},
        )


def check_count(filter_: FleetFilter, matched: int) -> None:
    """Check that as many proxies match as expected. Raises CountDiffers."""
    if matched != filter_.expect:
        detail = f"the filter matches {matched} proxies, not {filter_.expect}, so nothing was done"
        raise CountDiffers(detail, {"expected": filter_.expect, "matched": matched})


async def ids_by_node(
    session: Session, query: ProxyFilter, *, node_ids: Sequence[NodeId] | None = None
) -> dict[NodeId, list[ProxyId]]:
    """Return the ids of the proxies that the filter matches, by node; with `node_ids` only those on these nodes."""
    where = filter_parameters(query, ProxyFilter)
    rows = await session.rows("proxies.select_ids_by_node", **where, node_ids=node_ids)
    return {row["node_id"]: row["ids"] for row in rows}
