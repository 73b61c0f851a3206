"""The loop that carries upgrades on, each step by one master.

A step is a transaction: it locks the upgrade, compares its nodes with their reports, and stores what they are now and
which of them are sent a request. The requests go out after the commit. If the master dies between the two, another one
sends the same requests again.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial

import structlog

from master.actors import acting
from master.db.background import keep_on
from master.db.constraints import writing
from master.db.database import Database, Row, Session
from master.db.notifications import Notifications
from master.domain.events.log import NewEvent, record_events, touch
from master.domain.events.schemas import EventType
from master.domain.upgrades.following import FAILED, UpgradeNode
from master.domain.upgrades.protocols import UpgradeSender
from master.domain.upgrades.releases import OfferedRelease, OfferedReleases
from master.domain.upgrades.rows import node_from_row, plan_from_row, stored_node
from master.domain.upgrades.schemas import FleetUpgradeState
from master.domain.upgrades.service import event
from master.domain.upgrades.steps import ASKING, UpgradeStep, counts, next_step
from master.errors import NoRelease
from shared.messages.bodies import UpgradeRequest
from shared.proxies import NodeId
from shared.tasks import wait_for_event

log = structlog.get_logger()

POLL_S = 1.0
QUIET_S = 0.5
"""The pause between two turns, however many reports come."""
CLAIM = timedelta(seconds=QUIET_S)
MAX_UPGRADES = 10
"""Upgrades of one turn. One is open at most; others may have unreachable nodes left."""
MOST_STEPS = 20
"""States of a node that are kept."""
EVENTS: Mapping[FleetUpgradeState, EventType] = {
    "halted": "upgrade.halted",
    "paused": "upgrade.paused",
    "done": "upgrade.finished",
}
"""The event of each state that an upgrade comes to without an operator."""


class UpgradeRunner:
    """Take steps of upgrades until cancelled. While the broker is away, no node is heard and nothing is decided."""

    def __init__(
        self, database: Database, notifications: Notifications, releases: OfferedReleases, sender: UpgradeSender
    ) -> None:
        self._database, self._notifications = database, notifications
        self._releases, self._sender = releases, sender

    async def run(self) -> None:
        """Run until cancelled."""
        with self._notifications.reports() as heard:
            await keep_on(partial(self._turn, heard), "upgrades")

    async def _turn(self, heard: asyncio.Event) -> None:
        if self._sender.is_up:
            await self.step()
        await wait_for_event(heard, POLL_S)
        heard.clear()
        await asyncio.sleep(QUIET_S)

    async def step(self) -> None:
        """Take one step of each upgrade that no other master has claimed. Raises DatabaseError."""
        async with self._database.session() as session:
            claimed = await session.rows("upgrades.claim", max_rows=MAX_UPGRADES, quiet=CLAIM)
        for row in claimed:
            requests = await self._carry_on(row)
            async with asyncio.TaskGroup() as group:
                for node_id, request in requests:
                    group.create_task(self._sender.send(node_id, request))

    async def _carry_on(self, claimed: Row) -> list[tuple[NodeId, UpgradeRequest]]:
        """Decide and store one step, and return the requests to send."""
        release, obstacle = await self._offered(claimed["version"], claimed["sha256"])
        async with writing(self._database) as session:
            row = await session.row("upgrades.lock", id=claimed["id"])
            if row is None:
                return []
            with acting(row["actor"], row["request_id"]):
                step = await take_step(session, row, obstacle)
        return [(NodeId(node.node_id), request_of(node, row, release)) for node in step.send] if release else []

    async def _offered(self, version: str, sha256: str) -> tuple[OfferedRelease | None, str | None]:
        """Return the release that nodes are asked to install, or why this master cannot offer it now."""
        try:
            release = await self._releases.find(version)
        except NoRelease as error:
            return None, error.detail
        if release.sha256 != sha256:
            return None, f"the bundles of {version} are others than those with which the upgrade started"
        return release, None


async def take_step(session: Session, row: Row, obstacle: str | None) -> UpgradeStep:
    """Decide the next step of a locked upgrade, and store it with its events."""
    nodes = [node_from_row(one) for one in await session.rows("upgrades.select_followed", id=row["id"])]
    step = next_step(nodes, plan_from_row(row), row["checked_at"], row["now"], obstacle=obstacle)
    changed = [after for before, after in zip(nodes, step.nodes, strict=True) if after != before]
    if changed:
        rows = [stored_node(node) for node in changed]
        await session.execute("upgrades.store_nodes", id=row["id"], rows=rows, most_steps=MOST_STEPS)
    is_news = bool(changed) or (step.state, step.reason) != (row["state"], row["reason"])
    reason = step.reason if step.state in ASKING or step.reason else row["reason"]
    await session.execute(
        "upgrades.store", id=row["id"], state=step.state, reason=reason, now=row["now"], changed=is_news
    )
    await record_events(session, step_events(row, nodes, step))
    if is_news:
        await touch(session, "upgrades", [row["id"]])
    return step


def step_events(row: Row, before: Sequence[UpgradeNode], step: UpgradeStep) -> list[NewEvent]:
    """Return the events of a step: nodes that came to their end, then the upgrade's own."""
    news = [
        found
        for one, other in zip(before, step.nodes, strict=True)
        if one.state != other.state and (found := node_event(row, other)) is not None
    ]
    if step.state == row["state"]:
        return news
    log.info("upgrade.changed", upgrade_id=row["id"], state=step.state, reason=step.reason)
    details = {"counts": dict(counts(step.nodes))} if step.state == "done" else {"reason": step.reason}
    return [*news, event(EVENTS[step.state], row["id"], row["version"], details)]


def node_event(row: Row, node: UpgradeNode) -> NewEvent | None:
    """Return the event of a node that came to its end, or None."""
    details = {"upgrade_id": row["id"], "version": row["version"], "from_version": node.from_version}
    if node.state == "done" and node.asked_at is not None:
        return NewEvent(type="node.upgraded", node_id=node.node_id, details=details)
    if node.state in FAILED:
        details |= {"state": node.state, "reason": node.reason}
        return NewEvent(type="node.upgrade_failed", node_id=node.node_id, details=details)
    return None


def request_of(node: UpgradeNode, row: Row, release: OfferedRelease) -> UpgradeRequest:
    """Return the request to a node."""
    if node.request is None:
        raise ValueError(f"node {node.node_id} was not asked")
    return UpgradeRequest(
        id=node.request,
        version=release.version,
        url=row["base_url"] + release.path,
        sha256=release.sha256,
        downgrade=row["downgrade"],
    )
