"""Takes a node's report: stores what it says, answers what it calls for, tells what changed."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from master.db.database import Database, Row, Session
from master.domain.events.log import NewEvent, record_events
from master.domain.events.schemas import EventType
from master.domain.proxies.ports import move_ports
from master.domain.usage import service as usage
from master.sync import report_rules
from master.sync.outbox import Outbox
from shared.messages.bodies import Report
from shared.proxies import MAX_BIGINT, NodeId

log = structlog.get_logger()

OFFLINE_AFTER_S = 45.0
"""Three reports missed."""
CLONE_EVENT_EVERY_S = 600.0
HINDRANCES: Mapping[str, EventType] = {
    "failed": "proxy.failed",
    "limited": "proxy.limited",
    "expired": "proxy.expired",
}
STORED = ("rev", "seen", "count", "running", "missing", "session", "number", "connected")


@dataclass(frozen=True, slots=True)
class Implausible(Exception):
    """No honest node says this."""

    reason: str


class Reports:
    """Stores reports. The checksums of what is wanted are kept by revision, so an idle round computes none."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        """Share these."""
        self._database, self._outbox = database, outbox
        self._wanted: dict[NodeId, report_rules.WantedState] = {}
        self._outlived: dict[NodeId, tuple[int, float]] = {}

    async def take(self, node_id: NodeId, report: Report) -> None:
        """Store and answer a report. Raises Absurd, DatabaseError, BusDown."""
        wanted = await self._wanted_of(node_id)
        if wanted is None:
            log.warning("report.of_unknown_node", node_id=node_id)
            return
        absurdity = report_rules.implausible(report, wanted.revision, time.time_ns() // 10**6)
        if absurdity is not None:
            raise Implausible(absurdity)
        answer = report_rules.decide(report, wanted)
        async with self._database.transaction() as session:
            if answer.raise_to is not None or answer.renew:
                await self._heal(session, node_id, report, answer)
                return
            await self._store(session, node_id, report, answer)
        taken = [failure.id for failure in report.failed if failure.port_taken]
        if taken:
            await self._avoid_ports(node_id, taken)
        if answer.check:
            await self._outbox.check(node_id, again=report.connected)

    async def lose_silent(self) -> None:
        """Call nodes offline that have missed three reports; each loss is found by one master. Raises DatabaseError."""
        async with self._database.transaction() as session:
            rows = await session.rows("sync.mark_offline", after=timedelta(seconds=OFFLINE_AFTER_S))
            lost = [
                NewEvent(
                    type="node.offline", node_id=row["node_id"], details={"last_report": row["reported_at"].isoformat()}
                )
                for row in rows
            ]
            await record_events(session, lost)
            for row in rows:
                await session.execute("sync.notify_reported", node_id=str(row["node_id"]))

    async def forget_old(self) -> None:
        """Let go of what no node's report can refer to any more. Raises DatabaseError."""
        async with self._database.session() as session:
            await session.execute("sync.forget_removals")
            await session.execute("sync.forget_taken_ports")
            await session.execute("rotation.forget")
            await usage.forget(session)

    async def _wanted_of(self, node_id: NodeId) -> report_rules.WantedState | None:
        async with self._database.session() as session:
            revision = await session.value("sync.revision", node_id=node_id)
            if revision is None:
                return None
            known = self._wanted.get(node_id)
            if known is not None and known.revision == revision:
                return known
            row = await session.row("sync.desired_digest", node_id=node_id)
        if row is None:
            return None
        wanted = report_rules.WantedState(
            revision=row["revision"],
            digest=f"{int(row['digest']) % 2**64:016x}",
            content=f"{int(row['content']) % 2**64:016x}",
        )
        self._wanted[node_id] = wanted
        return wanted

    async def _heal(
        self, session: Session, node_id: NodeId, report: Report, answer: report_rules.ReportDecision
    ) -> None:
        """The database went back, or has other contents under the same versions: go on above all that was seen."""
        revision = await session.value("sync.lock_node", node_id=node_id)
        if revision is None or (answer.raise_to is not None and revision >= answer.raise_to):
            return
        if answer.raise_to is not None:
            await session.execute("sync.raise_revision", node_id=node_id, revision=answer.raise_to)
        await session.execute("sync.renew_versions", node_id=node_id, above=answer.above)
        type_ = "node.database_rolled_back" if answer.raise_to is not None else "node.drift_repaired"
        details = {"seen": report.seen, "revision": revision}
        log.error(type_, node_id=node_id, **details)
        await record_events(session, [NewEvent(type=type_, node_id=node_id, details=details)])

    async def _store(
        self, session: Session, node_id: NodeId, report: Report, answer: report_rules.ReportDecision
    ) -> None:
        """Lock order: the node (kept, not held up), its status, its proxies, the log."""
        node = await session.row("sync.lock_node_key", node_id=node_id)
        before = await session.row("sync.lock_status", node_id=node_id)
        passed = await usage.take(session, node_id, report.usage) if node is not None and before is not None else []
        if before is not None and report.session == before["retired_session"] > 0:
            log.info("report.of_replaced_box", node_id=node_id)
            await record_events(session, passed)
            return
        if node is None or before is None or (report.session, report.number) <= (before["session"], before["number"]):
            await self._suspect_clone(session, node_id, report, before)
            await record_events(session, passed)
            return
        confirmed = max(answer.confirmed or 0, min(before["confirmed_rev"], node["revision"], report.rev))
        failed = await self._store_failures(session, node_id, report, before)
        counts = failure_counts(report) or await session.row("sync.count_failures", node_id=node_id) or {}
        await session.execute("sync.store_status", node_id=node_id, **status_columns(report, confirmed), **counts)
        if report.agent and (report.agent, report.engines) != (node["agent"], node["engines"]):
            await session.execute(
                "sync.store_program", node_id=node_id, agent=report.agent, engines=dict(report.engines)
            )
        if confirmed > before["confirmed_rev"] or failed:
            await session.value("sync.lock_node", node_id=node_id)
            await session.execute("sync.mark_ran", node_id=node_id, confirmed=confirmed)
        news = [*status_events(node_id, report, before), *failed, *passed]
        await record_events(session, news)
        if news or confirmed > before["confirmed_rev"] or report.rev != before["rev"]:
            await session.execute("sync.notify_reported", node_id=str(node_id))

    async def _suspect_clone(self, session: Session, node_id: NodeId, report: Report, before: Row | None) -> None:
        """An agent that has been followed by a younger one falls silent; one that goes on has a twin.

        One late report may be in flight when an agent is started anew, so the second one counts. (A classic queue lets
        no twin consume, and so report; a quorum queue knows no exclusive consumers.)
        """
        if before is None or report.session >= before["session"]:
            return
        seen, told_at = self._outlived.get(node_id, (0, -CLONE_EVENT_EVERY_S))
        now = time.monotonic()
        if seen and now - told_at > CLONE_EVENT_EVERY_S:
            told_at = now
            details = {"sessions": [report.session, before["session"]]}
            log.error("node.cloned", node_id=node_id, **details)
            await record_events(session, [NewEvent(type="node.cloned", node_id=node_id, details=details)])
        self._outlived[node_id] = (seen + 1, told_at)

    async def _store_failures(
        self, session: Session, node_id: NodeId, report: Report, before: Row
    ) -> Sequence[NewEvent]:
        if not report.failed and not before["failed"] and not before["limited"]:
            return []
        failed = {failure.id: failure for failure in report.failed}
        ids = list(failed)
        mended = await session.rows(
            "sync.delete_failures", node_id=node_id, first=report.failed_from, last=report.failed_to, ids=ids
        )
        news = await session.rows(
            "sync.store_failures",
            node_id=node_id,
            ids=ids,
            versions=[failure.version for failure in failed.values()],
            reasons=[failure.reason.replace("\x00", "") for failure in failed.values()],
            kinds=[failure.kind for failure in failed.values()],
        )
        endpoints = [(failure.id, failure.reason.replace("\x00", ""), failure.kind) for failure in failed.values()]
        if endpoints:
            await session.execute(
                "rotation.store_failures",
                node_id=node_id,
                ids=[id_ for id_, _, _ in endpoints],
                reasons=[reason for _, reason, _ in endpoints],
                kinds=[kind for _, _, kind in endpoints],
            )
        return [*(recovered(node_id, row) for row in mended), *(hindered(node_id, row) for row in news)]

    async def _avoid_ports(self, node_id: NodeId, taken: list[int]) -> None:
        """Remember ports that strangers hold; what never ran and may have any port gets another."""
        async with self._database.transaction() as session:
            await session.value("sync.lock_node", node_id=node_id)
            await session.execute("sync.store_taken_ports", node_id=node_id, ids=taken)
            movable = await session.rows("sync.select_movable", node_id=node_id, ids=taken)
            await record_events(session, await move_ports(session, node_id, [row["id"] for row in movable]))


def recovered(node_id: NodeId, row: Row) -> NewEvent:
    """Of a proxy that serves again."""
    was = {"was": row["kind"]} if row["kind"] != "failed" else {}
    return NewEvent(type="proxy.recovered", node_id=node_id, proxy_id=row["proxy_id"], details=was)


def hindered(node_id: NodeId, row: Row) -> NewEvent:
    """Of a proxy that serves nobody: proxy.failed, proxy.limited or proxy.expired."""
    details = {"version": row["version"], "reason": row["reason"]}
    return NewEvent(type=HINDRANCES[row["kind"]], node_id=node_id, proxy_id=row["proxy_id"], details=details)


def failure_counts(report: Report) -> dict[str, int] | None:
    """How many proxies failed and how many serve nobody; None when the report does not tell of all of them."""
    if report.failed_from > 0 or report.failed_to < MAX_BIGINT:
        return None
    kinds = Counter(failure.kind for failure in report.failed)
    return {"failed": kinds["failed"], "limited": kinds["limited"] + kinds["expired"]}


def status_columns(report: Report, confirmed: int) -> dict[str, object]:
    """What is kept of a report."""
    held = report.held
    return {
        "confirmed_rev": confirmed,
        "held_rev": held.rev if held else None,
        "held_stops": held.stops if held else None,
        "held_of": held.of if held else None,
        "trouble": report.trouble.replace("\x00", ""),
        **{name: getattr(report, name) for name in STORED},
    }


def status_events(node_id: NodeId, report: Report, before: Row) -> list[NewEvent]:
    """What the log should say of this report."""
    news: list[NewEvent] = []
    if not before["online"]:
        news.append(NewEvent(type="node.online", node_id=node_id, details={"rev": report.rev}))
    if report.held is not None and report.held.rev != before["held_rev"]:
        news.append(NewEvent(type="node.list_held", node_id=node_id, details=report.held.model_dump()))
    if report.trouble and not before["trouble"]:
        news.append(
            NewEvent(type="node.troubled", node_id=node_id, details={"reason": report.trouble.replace("\x00", "")})
        )
    if before["trouble"] and not report.trouble:
        news.append(NewEvent(type="node.recovered", node_id=node_id, details={"was": before["trouble"]}))
    if report.foreign is not None:
        news.append(NewEvent(type="node.refused_cluster", node_id=node_id, details={"cluster": report.foreign}))
    return news
