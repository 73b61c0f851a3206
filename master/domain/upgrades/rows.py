"""Rows of the database as values of the decisions, and back. Pure."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from master.domain.upgrades.following import ReportedUpgrade, SeenNode, UpgradeNode, UpgradePlan
from master.schemas.base import Row

STORED = (
    *("node_id", "state", "reason", "at", "request", "asked_at", "sent_at", "deadline", "soak_until", "soak_limit"),
    *("session", "failed_before"),
)
KEPT = ("name", "place", "from_version", *STORED)


def seen_from_row(row: Row) -> SeenNode | None:
    """Read what is known of a node; None: it was removed."""
    if not row["is_there"]:
        return None
    return SeenNode(
        online=row["online"],
        reported_at=row["reported_at"],
        session=row["current_session"],
        agent=row["agent"],
        failed=row["failed_now"],
        pinned=row["pinned_version"],
        leaving=row["leaving"],
        upgrade=reported_upgrade(row["upgrade"]),
    )


def reported_upgrade(stored: Mapping[str, Any] | None) -> ReportedUpgrade | None:
    """Read the stored member of a report."""
    if stored is None:
        return None
    return ReportedUpgrade(able=stored["able"], request=stored["id"], state=stored["state"], reason=stored["reason"])


def node_from_row(row: Row) -> UpgradeNode:
    """Read a node of an upgrade."""
    return UpgradeNode(seen=seen_from_row(row), **{name: row[name] for name in KEPT})


def plan_from_row(row: Row) -> UpgradePlan:
    """Read an upgrade."""
    return UpgradePlan(
        soak=timedelta(seconds=row["soak_s"]),
        **{
            name: row[name]
            for name in (
                *("version", "min_upgradable_from", "canary", "batch_size", "most_failed", "forgiven", "downgrade"),
                "state",
            )
        },
    )


def stored_node(node: UpgradeNode) -> dict[str, Any]:
    """Return the columns of a node that change."""
    found = {name: getattr(node, name) for name in STORED}
    return {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in found.items()}
