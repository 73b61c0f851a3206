"""Store reports of nodes, do what they call for, and record what changed."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from master.broker_links.connections import LinkConnection
from master.db.constraints import storable
from master.db.database import Database, Row, Session
from master.domain.events.log import NewEvent, record_events, touch
from master.domain.events.touches import all_proxies_of
from master.domain.proxies.ports import move_ports
from master.domain.rotation import service as rotation
from master.domain.upgrades import service as upgrades
from master.domain.usage import service as usage
from master.sync import report_events, report_rules
from master.sync.outbox import Outbox
from master.sync.report_columns import broker_change, failure_counts, live_columns, status_columns
from shared.messages.bodies import Report
from shared.proxies import NodeId

log = structlog.get_logger()

OFFLINE_AFTER_S = 45.0
"""Three reports missed."""
CLONE_EVENT_EVERY_S = 600.0


@dataclass
class Implausible(Exception):
    """A report that no working node sends."""

    reason: str


class Reports:
    """Store reports. Checksums of the desired state are cached by revision, so an idle node costs none."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database, self._outbox = database, outbox
        self._desired: dict[NodeId, report_rules.DesiredState] = {}
        self._outdated: dict[NodeId, tuple[int, float]] = {}
        self._figures: set[NodeId] = set()
        """Nodes whose load or counters have changed since the last touch."""

    async def take(self, node_id: NodeId, report: Report, over: LinkConnection) -> None:
        """Store a report that came over this connection, and send a list there if it calls for one.

        Raises Implausible, DatabaseError, BusDown.
        """
        desired = await self._desired_state(node_id)
        if desired is None:
            log.warning("report.of_unknown_node", node_id=node_id)
            return
        reason = report_rules.implausible(report, desired.revision, time.time_ns() // 10**6)
        if reason is not None:
            raise Implausible(reason)
        decision = report_rules.decide(report, desired)
        async with self._database.transaction() as session:
            if decision.raise_to is not None or decision.renew:
                await self._raise_versions(session, node_id, report, decision)
                return
            await self._store(session, node_id, report, decision, over.used_rev(report.broker))
        taken = [failure.id for failure in report.failed if failure.port_taken]
        if taken:
            await self._avoid_ports(node_id, taken)
        if decision.check:
            await self._outbox.check(node_id, again=report.connected, over=over)

    async def mark_silent_offline(self) -> None:
        """Mark nodes offline that have missed three reports; each is found by one master. Raises DatabaseError."""
        async with self._database.transaction() as session:
            rows = await session.rows("sync.mark_offline", after=timedelta(seconds=OFFLINE_AFTER_S))
            lost = [
                NewEvent(
                    type="node.offline", node_id=row["node_id"], details={"last_report": row["reported_at"].isoformat()}
                )
                for row in rows
            ]
            await record_events(session, lost)
            payloads = [all_proxies_of(row["node_id"]) for row in rows]
            await session.execute("sync.notify_reported", payloads=payloads)

    async def touch_figures(self) -> None:
        """Have event streams report the nodes whose load or counters have changed. Raises DatabaseError."""
        node_ids, self._figures = self._figures, set()
        if node_ids:
            async with self._database.session() as session:
                await touch(session, "nodes", node_ids)

    async def forget_old(self) -> None:
        """Delete rows that no report can refer to any more. Raises DatabaseError."""
        async with self._database.session() as session:
            await session.execute("sync.forget_removals")
            await session.execute("sync.forget_taken_ports")
            await session.execute("sync.forget_live")
            await rotation.forget(session)
            await usage.forget(session)

    async def _desired_state(self, node_id: NodeId) -> report_rules.DesiredState | None:
        async with self._database.session() as session:
            revision = await session.value("sync.revision", node_id=node_id)
            if revision is None:
                return None
            cached = self._desired.get(node_id)
            if cached is not None and cached.revision == revision:
                return cached
            row = await session.row("sync.desired_digest", node_id=node_id)
        if row is None:
            return None
        desired = report_rules.DesiredState(
            revision=row["revision"],
            digest=f"{int(row['digest']) % 2**64:016x}",
            content=f"{int(row['content']) % 2**64:016x}",
        )
        self._desired[node_id] = desired
        return desired

    async def _raise_versions(
        self, session: Session, node_id: NodeId, report: Report, decision: report_rules.ReportDecision
    ) -> None:
        """Raise revision and versions above all that the node has seen, after a rollback of the database or drift."""
        revision = await session.value("sync.lock_node", node_id=node_id)
        if revision is None or (decision.raise_to is not None and revision >= decision.raise_to):
            return
        if decision.raise_to is not None:
            await session.execute("sync.raise_revision", node_id=node_id, revision=decision.raise_to)
        await session.execute("sync.renew_versions", node_id=node_id, above=decision.above)
        type_ = "node.database_rolled_back" if decision.raise_to is not None else "node.drift_repaired"
        details = {"seen": report.seen, "revision": revision}
        log.error(type_, node_id=node_id, **details)
        await record_events(session, [NewEvent(type=type_, node_id=node_id, details=details)])
        if decision.raise_to is not None:
            await upgrades.pause_after_restore(session)

    async def _store(
        self, session: Session, node_id: NodeId, report: Report, decision: report_rules.ReportDecision, broker_rev: int
    ) -> None:
        """Store the report: in one place for the order of locks, node (against deletion only), status, proxies, log."""
        node = await session.row("sync.lock_node_key", node_id=node_id)
        before = await session.row("sync.lock_status", node_id=node_id)
        passed: list[NewEvent] = []
        if node is not None and before is not None:
            passed = await usage.store_counters(session, node_id, report.usage)
        if before is not None and report.session == before["retired_session"] > 0:
            log.info("report.of_replaced_host", node_id=node_id)
            await record_events(session, passed)
            return
        if node is None or before is None or (report.session, report.number) <= (before["session"], before["number"]):
            await self._suspect_clone(session, node_id, report, before)
            await record_events(session, passed)
            return
        confirmed = max(decision.confirmed or 0, min(before["confirmed_rev"], node["revision"], report.rev))
        failed = await self._store_failures(session, node_id, report, before)
        counts = failure_counts(report) or await session.row("sync.count_failures", node_id=node_id) or {}
        columns = {**status_columns(report, confirmed), **counts}
        await session.execute("sync.store_status", node_id=node_id, **columns)
        if report.live:
            await session.execute("sync.store_live", node_id=node_id, **live_columns(report))
        is_other = bool(report.agent) and (report.agent, report.engines) != (node["agent"], node["engines"])
        if is_other:
            await session.execute(
                "sync.store_program", node_id=node_id, agent=report.agent, engines=dict(report.engines)
            )
        moved = broker_change(report, broker_rev, node)
        if moved is not None:
            await session.execute("sync.store_broker", node_id=node_id, **moved)
        started = []
        if confirmed > before["confirmed_rev"] or failed:
            started = await self._mark_ran(session, node_id, confirmed, failed)
        news = [
            *report_events.status_events(node_id, report, before),
            *report_events.broker_events(node_id, node, moved),
            *failed,
            *started,
            *passed,
        ]
        await record_events(session, news)
        is_shown = is_other or moved is not None or report_events.is_change_shown(columns, before)
        if news or confirmed > before["confirmed_rev"] or is_shown:
            payload = report_events.report_touch(node_id, before, confirmed)
            await session.execute("sync.notify_reported", payloads=[payload])
        if report.usage or report.live or report_events.is_load_changed(columns, before):
            self._figures.add(node_id)

    async def _mark_ran(
        self, session: Session, node_id: NodeId, confirmed: int, failed: Sequence[NewEvent]
    ) -> list[NewEvent]:
        """Mark proxies that failed, and proxies that run for the first time. Return the events of the latter."""
        await session.value("sync.lock_node", node_id=node_id)
        ids = [event.proxy_id for event in failed if event.type == "proxy.failed"]
        if ids:
            await session.execute("sync.mark_failed", ids=ids)
        rows = await session.rows("sync.mark_ran", node_id=node_id, confirmed=confirmed)
        return [report_events.running_event(node_id, row) for row in rows]

    async def _suspect_clone(self, session: Session, node_id: NodeId, report: Report, before: Row | None) -> None:
        """Record that an older agent keeps reporting beside a younger one: the node was cloned.

        One late report may be in flight when an agent is restarted, so only the second one counts. (A classic queue has
        an exclusive consumer, so a clone cannot report; a quorum queue has none.)
        """
        if before is None or report.session >= before["session"]:
            return
        seen, recorded_at = self._outdated.get(node_id, (0, -CLONE_EVENT_EVERY_S))
        now = time.monotonic()
        if seen and now - recorded_at > CLONE_EVENT_EVERY_S:
            recorded_at = now
            details = {"sessions": [report.session, before["session"]]}
            log.error("node.cloned", node_id=node_id, **details)
            await record_events(session, [NewEvent(type="node.cloned", node_id=node_id, details=details)])
        self._outdated[node_id] = (seen + 1, recorded_at)

    async def _store_failures(
        self, session: Session, node_id: NodeId, report: Report, before: Row
    ) -> Sequence[NewEvent]:
        if not report.failed and not before["failed"] and not before["limited"]:
            return []
        failed = {failure.id: failure for failure in report.failed}
        ids = list(failed)
        reasons = [storable(failure.reason) for failure in failed.values()]
        kinds = [failure.kind for failure in failed.values()]
        recovered = await session.rows(
            "sync.delete_failures", node_id=node_id, first=report.failed_from, last=report.failed_to, ids=ids
        )
        news = await session.rows(
            "sync.store_failures",
            node_id=node_id,
            ids=ids,
            versions=[failure.version for failure in failed.values()],
            reasons=reasons,
            kinds=kinds,
        )
        if ids:
            await session.execute("rotation.store_failures", node_id=node_id, ids=ids, reasons=reasons, kinds=kinds)
        return [
            *(report_events.recovered_event(node_id, row) for row in recovered),
            *(report_events.stopped_event(node_id, row) for row in news),
        ]

    async def _avoid_ports(self, node_id: NodeId, taken: list[int]) -> None:
        """Reserve ports that other programs use, and give proxies that never ran and may have any port another one."""
        async with self._database.transaction() as session:
            await session.value("sync.lock_node", node_id=node_id)
            await session.execute("sync.store_taken_ports", node_id=node_id, ids=taken)
            movable = await session.rows("sync.select_movable", node_id=node_id, ids=taken)
            await record_events(session, await move_ports(session, node_id, [row["id"] for row in movable]))
