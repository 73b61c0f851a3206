"""Metrics of the fleet, counted in the database at most every ten seconds."""

from master.db.database import Database
from master.domain.events import log
from master.domain.monitoring.kept import Kept
from master.domain.webhooks.schemas import MOST_LAG
from master.instruments import by, gauge

KEPT_S = 10.0
"""The age of the figures. Counting 110,000 proxies by state costs too much to do it for each request."""


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
            proxies = await session.rows("metrics.proxies")
            nodes = await session.rows("metrics.nodes")
            lag = await session.row("metrics.lag") or {}
            hooks = await session.rows("metrics.webhooks", max_lag=MOST_LAG)
            agents = await session.rows("metrics.agents")
            upgraded = await session.rows("metrics.upgrade_nodes")
            last = (await log.bounds(session))["last"]
        counts = {(row["state"],): row["count"] for row in proxies}
        links = {(row["state"], row["link"]): row["count"] for row in nodes}
        hook_counts = {(row["state"],): row["count"] for row in hooks}
        return "".join(
            (
                by("maybe_proxies", "Proxies by state.", ("state",), counts),
                by("maybe_nodes", "Nodes by state and link.", ("state", "link"), links),
                by(
                    "maybe_agents",
                    "Nodes by the version of their agent.",
                    ("version",),
                    {(row["version"],): row["count"] for row in agents},
                ),
                by(
                    "maybe_upgrade_nodes",
                    "Nodes of the newest upgrade, by state.",
                    ("state",),
                    {(row["state"],): row["count"] for row in upgraded},
                ),
                gauge("maybe_sync_lag_max", "Revisions that the node furthest behind has to confirm.", lag["max"]),
                gauge("maybe_sync_lag", "Revisions that nodes have to confirm.", lag["sum"]),
                gauge("maybe_sync_lagging_nodes", "Nodes that have something to confirm.", lag["nodes"]),
                gauge("maybe_held_lists", "Nodes that hold a list until it is confirmed.", lag["held"]),
                gauge("maybe_events_last_id", "Id of the last event.", last),
                by("maybe_webhooks", "Webhooks by state.", ("state",), hook_counts),
                by(
                    "maybe_webhook_lag_max",
                    f"Undelivered events of the webhook furthest behind, {MOST_LAG} at most.",
                    ("state",),
                    {(row["state"],): row["lag"] for row in hooks},
                ),
            )
        )
