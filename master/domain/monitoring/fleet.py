"""How the fleet does, for /metrics: counted in the database, and not more often than it is worth."""

import asyncio
import time

from master.db.database import Database
from master.domain.events import log
from master.domain.webhooks.schemas import MOST_LAG
from master.instruments import by, gauge

KEPT_S = 10.0
"""Counting 110,000 proxies by their states is work: it is done once in this time, whoever asks."""


class Fleet:
    """The text of the fleet's metrics."""

    def __init__(self, database: Database) -> None:
        """Share this."""
        self._database = database
        self._counting = asyncio.Lock()
        self._text, self._counted_at = "", -KEPT_S

    async def text(self) -> str:
        """At most so old. Raises DatabaseError."""
        async with self._counting:
            if time.monotonic() - self._counted_at >= KEPT_S:
                self._text, self._counted_at = await self._count(), time.monotonic()
            return self._text

    async def _count(self) -> str:
        async with self._database.session() as session:
            proxies = await session.rows("metrics.proxies")
            nodes = await session.rows("metrics.nodes")
            lag = await session.row("metrics.lag") or {}
            hooks = await session.rows("metrics.webhooks", most_lag=MOST_LAG)
            last = (await log.ends(session))["last"]
        counts = {(row["state"],): row["count"] for row in proxies}
        links = {(row["state"], row["link"]): row["count"] for row in nodes}
        hook_counts = {(row["state"],): row["count"] for row in hooks}
        return "".join(
            (
                by("maybe_proxies", "Proxies by state.", ("state",), counts),
                by("maybe_nodes", "Nodes by state and link.", ("state", "link"), links),
                gauge("maybe_sync_lag_max", "Revisions that the node furthest behind has to confirm.", lag["most"]),
                gauge("maybe_sync_lag", "Revisions that nodes have to confirm.", lag["sum"]),
                gauge("maybe_sync_lagging_nodes", "Nodes that have something to confirm.", lag["nodes"]),
                gauge("maybe_held_lists", "Nodes that hold a list until it is confirmed.", lag["held"]),
                gauge("maybe_events_last_id", "Id of the last event.", last),
                by("maybe_webhooks", "Webhooks by state.", ("state",), hook_counts),
                by(
                    "maybe_webhook_lag_max",
                    f"Events that the webhook furthest behind has still to be told; {MOST_LAG} at most.",
                    ("state",),
                    {(row["state"],): row["lag"] for row in hooks},
                ),
            )
        )
