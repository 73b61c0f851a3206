"""The events and touches that a report causes."""

from collections.abc import Mapping

from master.db.constraints import storable
from master.db.database import Row
from master.domain.events.log import NewEvent
from master.domain.events.schemas import EventType
from master.domain.events.touches import ReportTouch, all_proxies_of
from shared.messages.bodies import LoadReport, Report
from shared.proxies import NodeId

FAILURE_EVENTS: Mapping[str, EventType] = {
    "failed": "proxy.failed",
    "limited": "proxy.limited",
    "expired": "proxy.expired",
}
SHOWN_COLUMNS = (
    "rev",
    "count",
    "running",
    "missing",
    "failed",
    "limited",
    "held_rev",
    "held_stops",
    "held_of",
    "trouble",
    "upgrade",
    "tls_certificate",
)


def status_events(node_id: NodeId, report: Report, before: Row) -> list[NewEvent]:
    """Return the events that a report causes."""
    news: list[NewEvent] = []
    if not before["online"]:
        news.append(NewEvent(type="node.online", node_id=node_id, details={"rev": report.rev}))
    if report.held is not None and report.held.rev != before["held_rev"]:
        news.append(NewEvent(type="node.list_held", node_id=node_id, details=report.held.model_dump()))
    if report.trouble and not before["trouble"]:
        news.append(NewEvent(type="node.troubled", node_id=node_id, details={"reason": storable(report.trouble)}))
    if before["trouble"] and not report.trouble:
        news.append(NewEvent(type="node.recovered", node_id=node_id, details={"was": before["trouble"]}))
    if report.foreign is not None:
        news.append(NewEvent(type="node.refused_cluster", node_id=node_id, details={"cluster": report.foreign}))
    return news


def broker_events(node_id: NodeId, before: Row, moved: Mapping[str, object] | None) -> list[NewEvent]:
    """Return the event of a node that has moved to another link, or could not."""
    if moved is None:
        return []
    details = {"rev": moved["rev"], "url": moved["url"]}
    state, known = before["broker_state"], (before["broker_rev"], before["broker_state"], before["broker_reason"])
    if moved["state"] == "failed" and known[1:] != ("failed", moved["reason"]):
        failed = {**details, "reason": moved["reason"]}
        return [NewEvent(type="node.broker_move_failed", node_id=node_id, details=failed)]
    if moved["state"] == "moved" and state is not None and known[:2] != (moved["rev"], "moved"):
        return [NewEvent(type="node.broker_moved", node_id=node_id, details=details)]
    return []


def stopped_event(node_id: NodeId, row: Row) -> NewEvent:
    """Return the event of a proxy that stopped serving: proxy.failed, proxy.limited or proxy.expired."""
    details = {"version": row["version"], "reason": row["reason"]}
    return NewEvent(type=FAILURE_EVENTS[row["kind"]], node_id=node_id, proxy_id=row["proxy_id"], details=details)


def recovered_event(node_id: NodeId, row: Row) -> NewEvent:
    """Return the event of a proxy that serves again."""
    was = {"was": row["kind"]} if row["kind"] != "failed" else {}
    return NewEvent(type="proxy.recovered", node_id=node_id, proxy_id=row["proxy_id"], details=was)


def running_event(node_id: NodeId, row: Row) -> NewEvent:
    """Return the event of a proxy that runs for the first time since it was created or failed."""
    return NewEvent(type="proxy.running", node_id=node_id, proxy_id=row["id"], details={"version": row["version"]})


def is_change_shown(columns: Mapping[str, object], before: Row) -> bool:
    """Whether a report changes a shown property of its node other than its time and its load."""
    return any(before[name] != columns[name] for name in SHOWN_COLUMNS)


def is_load_changed(columns: Mapping[str, object], before: Row) -> bool:
    """Whether a report changes the load of its node."""
    return any(before[name] != columns[name] for name in LoadReport.model_fields)


def report_touch(node_id: NodeId, before: Row, confirmed: int) -> str:
    """Return the touch of a report. A node that was offline changes the state of all its proxies."""
    if not before["online"]:
        return all_proxies_of(node_id)
    after = min(before["confirmed_rev"], confirmed)
    return ReportTouch(node_id=node_id, after=after, until=confirmed).model_dump_json()
