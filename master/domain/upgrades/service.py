"""Start, read and change upgrades. The masters carry them on (runner)."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from master.actors import cause
from master.db.constraints import existing
from master.db.database import Row, Session
from master.domain.events.log import NewEvent, record_events, touch
from master.domain.events.schemas import EventType
from master.domain.nodes.schemas import NodeFilter
from master.domain.upgrades.following import UpgradeNode, UpgradePlan, follow
from master.domain.upgrades.releases import OfferedRelease
from master.domain.upgrades.rows import plan_from_row, seen_from_row
from master.domain.upgrades.schemas import (
    MOST_NODES,
    FleetUpgradeState,
    NewUpgrade,
    PlannedNode,
    RequestedState,
    Upgrade,
    UpgradedNode,
    UpgradeList,
    UpgradePage,
    UpgradePreview,
    UpgradeSummary,
)
from master.domain.upgrades.steps import counts
from master.errors import UpgradeEnded, UpgradeUnderWay, invalid_at
from master.schemas.fields import ID_BY_NAME
from master.schemas.filters import filter_parameters

OPEN: tuple[FleetUpgradeState, ...] = ("running", "paused", "halted")
CHANGES: Mapping[tuple[FleetUpgradeState, RequestedState], EventType] = {
    ("running", "paused"): "upgrade.paused",
    ("paused", "running"): "upgrade.resumed",
    ("halted", "running"): "upgrade.resumed",
    **{(state, "aborted"): "upgrade.aborted" for state in (*OPEN, "done")},
}
"""The event of each change that is allowed. An upgrade that is done may have unreachable nodes left to give up."""
ABORTED = "the upgrade was aborted"


async def get(session: Session, id_: int) -> Upgrade:
    """Return one upgrade with its nodes. Raises NotFound."""
    row = existing(await session.row("upgrades.select_one", id=id_), "upgrade", id_)
    nodes = [UpgradedNode.model_validate(dict(one)) for one in await session.rows("upgrades.select_nodes", id=id_)]
    return Upgrade(**summary(row), nodes=nodes)


async def page(session: Session, query: UpgradeList) -> UpgradePage:
    """Return a page of the upgrades that match."""
    where = {name: getattr(query, name) or None for name in ("state", "version", "node_id")}
    rows = await session.rows(f"upgrades.select_page by {query.sort}", **where, **query.position)
    return UpgradePage(items=[UpgradeSummary(**summary(row)) for row in rows], next=query.next_after(rows))


def summary(row: Row) -> dict[str, Any]:
    """Return the members of an upgrade."""
    return {**row, "batch": int(row["batch"]) if row["batch"].isdigit() else row["batch"]}


async def preview(session: Session, body: NewUpgrade, release: OfferedRelease) -> UpgradePreview:
    """Return what an upgrade would do. Raises Invalid, UpgradeUnderWay."""
    await check_none_open(session)
    nodes = await candidates(session, body, release)
    planned = [
        PlannedNode(**{name: getattr(node, name) for name in PlannedNode.model_fields if hasattr(node, name)})
        for node in nodes
    ]
    return UpgradePreview(
        version=release.version, batch_size=batch_size(body.batch, nodes), counts=dict(counts(nodes)), nodes=planned
    )


async def start(session: Session, body: NewUpgrade, release: OfferedRelease, base_url: str) -> Upgrade:
    """Start an upgrade. Raises Invalid, UpgradeUnderWay; the transaction's end raises UpgradeUnderWay, too."""
    await check_none_open(session)
    nodes = await candidates(session, body, release)
    now = cause()
    id_ = await session.value(
        "upgrades.insert",
        version=release.version,
        sha256=release.sha256,
        min_upgradable_from=release.min_upgradable_from,
        base_url=base_url.rstrip("/"),
        filter=body.filter.model_dump(mode="json", exclude_unset=True, exclude={*ID_BY_NAME}, by_alias=True),
        **{name: getattr(body, name) for name in ("canary", "soak_s", "most_failed", "downgrade")},
        batch=str(body.batch),
        batch_size=batch_size(body.batch, nodes),
        actor=now.actor,
        request_id=now.request_id,
    )
    await session.execute("upgrades.insert_nodes", upgrade_id=id_, rows=[new_row(node) for node in nodes])
    await session.execute("upgrades.supersede", id=id_, reason=f"upgrade {id_} began")
    details = {"nodes": len(nodes), **{name: getattr(body, name) for name in ("canary", "batch", "soak_s")}}
    await record_events(session, [event("upgrade.started", id_, release.version, details)])
    await touch(session, "upgrades", [id_])
    return await get(session, id_)


async def check_none_open(session: Session) -> None:
    """Lock the newest upgrade, and refuse another one while it is open. Raises UpgradeUnderWay."""
    newest = await session.row("upgrades.lock_newest")
    if newest is not None and newest["state"] in OPEN:
        detail = f"upgrade {newest['id']} is {newest['state']}: end it first, by PATCH with the state aborted"
        raise UpgradeUnderWay(detail, {"upgrade_id": newest["id"], "state": newest["state"]})


async def candidates(session: Session, body: NewUpgrade, release: OfferedRelease) -> list[UpgradeNode]:
    """Return the nodes that match, in the order in which they are asked, as they begin. Raises Invalid."""
    where = filter_parameters(body.filter, NodeFilter)
    matching = await session.rows("upgrades.select_matching", **where, limit=MOST_NODES)
    if not matching:
        raise invalid_at("no node matches the filter", "/filter")
    rows = await session.rows("upgrades.select_candidates", ids=[row["id"] for row in matching])
    now = await session.value("upgrades.clock")
    plan = new_plan(body, release)
    return [follow(new_node(row, place, now), plan, now) for place, row in enumerate(rows, start=1)]


def new_plan(body: NewUpgrade, release: OfferedRelease) -> UpgradePlan:
    """Return the plan by which nodes are placed at the start."""
    return plan_from_row(
        {
            **body.model_dump(exclude={"filter"}),
            "version": release.version,
            "min_upgradable_from": release.min_upgradable_from,
            "batch_size": 1,
            "forgiven": 0,
            "state": "running",
        }
    )


def new_node(row: Row, place: int, now: datetime) -> UpgradeNode:
    """Return a node before anything is known of its part."""
    return UpgradeNode(
        node_id=row["node_id"],
        name=row["name"],
        place=place,
        from_version=row["agent"],
        at=now,
        seen=seen_from_row(row),
    )


def new_row(node: UpgradeNode) -> dict[str, Any]:
    """Return the columns of a node at the start."""
    plain = {name: getattr(node, name) for name in ("node_id", "name", "place", "from_version", "state", "reason")}
    return {**plain, "at": node.at.isoformat()}


def batch_size(batch: int | str, nodes: Sequence[UpgradeNode]) -> int:
    """Return how many nodes may be under way: a share is of those that take part, rounded up."""
    if isinstance(batch, int):
        return batch
    count = sum(node.state in ("waiting", "unreachable") for node in nodes)
    return max(1, -(-count * int(batch.removesuffix("%")) // 100))


async def change(session: Session, id_: int, state: RequestedState) -> Upgrade:
    """Pause, resume or abort an upgrade. Raises NotFound, UpgradeEnded."""
    row = existing(await session.row("upgrades.lock", id=id_), "upgrade", id_)
    if row["state"] == state:
        return await get(session, id_)
    type_ = CHANGES.get((row["state"], state))
    if type_ is None:
        detail = f"upgrade {id_} is {row['state']}, which cannot become {state}"
        raise UpgradeEnded(detail, {"upgrade_id": id_, "state": row["state"]})
    failed = await session.value("upgrades.count_failed", id=id_)
    await session.execute("upgrades.set_state", id=id_, state=state, failed=failed)
    if state == "aborted":
        await session.execute("upgrades.skip_waiting", id=id_, reason=ABORTED)
    details = {"forgiven": failed} if type_ == "upgrade.resumed" else {}
    await record_events(session, [event(type_, id_, row["version"], details)])
    await touch(session, "upgrades", [id_])
    return await get(session, id_)


async def pause_after_restore(session: Session) -> None:
    """Pause the running upgrade of a database that was restored: it may have been stopped since."""
    reason = "the database was restored to an earlier state: resume it if it is still wanted"
    rows = await session.rows("upgrades.pause_running", reason=reason)
    await record_events(
        session, [event("upgrade.paused", row["id"], row["version"], {"reason": reason}) for row in rows]
    )
    if rows:
        await touch(session, "upgrades", [row["id"] for row in rows])


def event(type_: EventType, id_: int, version: str, details: Mapping[str, Any]) -> NewEvent:
    """Return an event of an upgrade."""
    return NewEvent(type=type_, details={"upgrade_id": id_, "version": version, **details})
