"""Metrics of the fleet, counted in the database at most every ten seconds."""

from dataclasses import dataclass

from master.db.database import Database, Row, Session
from master.domain.events import log
from master.domain.license import service as license_
from master.domain.monitoring.kept import Kept
from master.domain.monitoring.license_metrics import license_families
from master.domain.tokens import service as tokens
from master.domain.webhooks.schemas import MOST_LAG
from master.instruments import by, gauge

KEPT_S = 10.0
"""The age of the figures. Counting 110,000 proxies by state costs too much to do it for each request."""


@dataclass(frozen=True, slots=True)
class Count:
    """A metric by labels: a statement with a column for each label, and the value in the column `count`."""

    statement: str
    name: str
    words: str
    labels: tuple[str, ...]


COUNTS = (
    Count("metrics.proxies", "maybe_proxies", "Proxies by state.", ("state",)),
    Count("metrics.nodes", "maybe_nodes", "Nodes by state and link.", ("state", "link")),
    Count("metrics.agents", "maybe_agents", "Nodes by the version of their agent.", ("version",)),
    Count("metrics.masters", "maybe_masters", "Masters that run, by version.", ("version",)),
    Count("metrics.upgrade", "maybe_upgrade", "The state of the newest upgrade.", ("state",)),
    Count("metrics.upgrade_nodes", "maybe_upgrade_nodes", "Nodes of the newest upgrade, by state.", ("state",)),
    Count(
        "metrics.broker_move",
        "maybe_broker_move_waiting_nodes",
        "Nodes that have not moved yet, by the state of the move; nothing while the broker does not move.",
        ("state",),
    ),
    Count(
        "metrics.node_certificates",
        "maybe_node_certificate_end_timestamp_seconds",
        "When the first certificate of a node ends, by who makes it.",
        ("maker",),
    ),
)
GAUGES = (
    ("max", "maybe_sync_lag_max", "Revisions that the node furthest behind has to confirm."),
    ("sum", "maybe_sync_lag", "Revisions that nodes have to confirm."),
    ("nodes", "maybe_sync_lagging_nodes", "Nodes that have something to confirm."),
    ("online", "maybe_sync_lagging_online_nodes", "Nodes that are online and have something to confirm."),
    ("held", "maybe_held_lists", "Nodes that hold a list until it is confirmed."),
    ("troubled", "maybe_troubled_nodes", "Nodes that report trouble, such as a full disk."),
    ("certificate_problems", "maybe_node_certificate_problems", "Nodes that cannot use their newer certificate."),
)
"""Column of metrics.lag, name, words."""


class Fleet:
    """The text of the fleet's metrics."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._text = Kept(self._count, KEPT_S)

    async def text(self) -> str:
        """Return the metrics, at most KEPT_S old. Raises DatabaseError."""
        return await self._text.get()

    async def _count(self) -> str:
        async with self._database.session() as session:
            counted = [counted_family(count, await session.rows(count.statement)) for count in COUNTS]
            lag = await session.row("metrics.lag") or {}
            last = (await log.bounds(session))["last"]
            current = await license_.read_current(session)
            hooks = await webhook_families(session)
            is_open = await tokens.is_open(session)
        gauges = [gauge(name, words, lag[column]) for column, name, words in GAUGES]
        newest = gauge("maybe_events_last_id", "Id of the last event.", last)
        opened = gauge("maybe_api_open", "Whether the API is open to everybody, without tokens.", is_open)
        return "".join((*counted, *gauges, newest, opened, *hooks, *license_families(current.license, current.now)))


def counted_family(count: Count, rows: list[Row]) -> str:
    """Return a metric by labels."""
    return by(
        count.name, count.words, count.labels, {tuple(row[one] for one in count.labels): row["count"] for row in rows}
    )


async def webhook_families(session: Session) -> tuple[str, ...]:
    """Count webhooks, and what they have to deliver. Raises DatabaseError."""
    rows = await session.rows("metrics.webhooks", max_lag=MOST_LAG)
    words = f"Undelivered events of the webhook furthest behind, {MOST_LAG} at most."
    lags = {(row["state"],): row["lag"] for row in rows}
    counts = {(row["state"],): row["count"] for row in rows}
    return (
        by("maybe_webhooks", "Webhooks by state.", ("state",), counts),
        by("maybe_webhook_lag_max", words, ("state",), lags),
    )
