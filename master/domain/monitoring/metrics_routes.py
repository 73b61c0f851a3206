"""/metrics"""

from typing import Any

from litestar import Response, get
from litestar.di import NamedDependency

from master.api.dependencies import Wiring
from master.api.encoding import written
from master.api.openapi.route_docs import documented
from master.errors import DatabaseError
from master.instruments import by, gauge
from master.schemas.media_types import MediaType


@get(
    "/metrics",
    summary="Metrics for Prometheus",
    opt=documented(any_query=True, answers={200: None}, streams={MediaType.METRICS: None}, asks_database=False),
)
async def show_metrics(wiring: NamedDependency[Wiring]) -> Response[Any]:
    """The fleet, counted at most every 10 s and left out while the database is away, and what this master has done."""
    state = wiring.broker_state()
    size, idle, most = wiring.database.pool
    parts = [
        gauge("maybe_bus_up", "Whether the broker is reached.", state == "up"),
        by("maybe_bus_state", "The state of the link to the broker.", ("state",), {(state,): 1}),
        by(
            "maybe_database_connections",
            "Connections of this master's pool.",
            ("state",),
            {("idle",): idle, ("used",): size - idle, ("possible",): most},
        ),
        *wiring.meters.families(),
    ]
    try:
        fleet, is_up = await wiring.fleet.text(), True
    except DatabaseError:
        fleet, is_up = "", False
    parts.append(gauge("maybe_database_up", "Whether the database answers.", is_up))
    return written("".join((fleet, *parts)).encode(), MediaType.METRICS)
