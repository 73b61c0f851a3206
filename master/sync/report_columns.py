"""The columns that store a report."""

from collections import Counter

from master.db.constraints import storable
from master.db.database import Row
from shared.messages.bodies import LoadReport, Report
from shared.proxies import MAX_BIGINT

MAX_REV_AHEAD = 1_000_000
"""Revisions of links by which a database may have been rolled back. A node that claims more is not believed."""
STORED_MEMBERS = ("rev", "seen", "count", "running", "missing", "session", "number", "connected")


def failure_counts(report: Report) -> dict[str, int] | None:
    """Count failed and limited proxies; None when the report does not cover all of them."""
    if report.failed_from > 0 or report.failed_to < MAX_BIGINT:
        return None
    kinds = Counter(failure.kind for failure in report.failed)
    return {"failed": kinds["failed"], "limited": kinds["limited"] + kinds["expired"]}


def status_columns(report: Report, confirmed: int) -> dict[str, object]:
    """Return the columns that store a report."""
    held, load = report.held, report.load
    return {
        "confirmed_rev": confirmed,
        "held_rev": held.rev if held else None,
        "held_stops": held.stops if held else None,
        "held_of": held.of if held else None,
        "trouble": storable(report.trouble),
        "upgrade": upgrade_column(report),
        "tls_certificate": certificate_column(report),
        **{name: getattr(report, name) for name in STORED_MEMBERS},
        **{name: getattr(load, name, None) for name in LoadReport.model_fields},
    }


def upgrade_column(report: Report) -> dict[str, object] | None:
    """Return the report's member as it is stored."""
    if report.upgrade is None:
        return None
    return {**report.upgrade.model_dump(), "reason": storable(report.upgrade.reason)}


def certificate_column(report: Report) -> dict[str, object] | None:
    """Return the report's member as it is stored."""
    if report.tls_certificate is None:
        return None
    stored = report.tls_certificate.model_dump(mode="json")
    return {**stored, "problem": storable(report.tls_certificate.problem)}


def broker_change(report: Report, rev: int, node: Row) -> dict[str, object] | None:
    """Return the columns of the link that the node uses, or None when they are those of its row and stay.

    `rev` is the revision of the link by which the report came.
    """
    broker = report.broker
    columns: dict[str, object] = {"rev": rev, "url": "", "state": None, "reason": "", "seen": node["broker_seen"]}
    if broker is not None:
        seen = max(node["broker_seen"], broker.rev) if broker.rev <= rev + MAX_REV_AHEAD else node["broker_seen"]
        columns |= {"url": broker.url, "state": broker.state, "reason": storable(broker.reason), "seen": seen}
    returned = report.connected and (broker is None or broker.state != "failed")
    is_same = all(node[f"broker_{name}"] == value for name, value in columns.items())
    return None if is_same and not returned else {**columns, "returned": returned}


def live_columns(report: Report) -> dict[str, list[int]]:
    """Return the columns that store live figures, each proxy once: the last figures of each."""
    live = {one.id: one for one in report.live}.values()
    return {
        "ids": [one.id for one in live],
        "connections": [one.connections for one in live],
        "rx_bps": [one.rx_bps for one in live],
        "tx_bps": [one.tx_bps for one in live],
    }
