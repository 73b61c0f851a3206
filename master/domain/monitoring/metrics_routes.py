"""/metrics"""

from collections.abc import Callable

from litestar import Response, get

from master.api.dependencies import Injected
from master.api.encoding import written
from master.api.openapi.route_docs import documented
from master.db.database import Database
from master.domain.monitoring.certificates import Certificates
from master.domain.monitoring.fleet import Fleet
from master.errors import DatabaseError
from master.instruments import Meters, by, gauge
from master.schemas.media_types import MediaType


@get(
    "/metrics",
    summary="Show metrics for Prometheus",
    opt=documented(
        answers={200: "The metrics, in the text format of Prometheus."},
        streams={MediaType.METRICS: None},
        ignores_parameters=True,
        copes_without_database=True,
    ),
)
async def show_metrics(
    database: Injected[Database],
    broker_state: Injected[Callable[[], str]],
    meters: Injected[Meters],
    fleet: Injected[Fleet],
    certificates: Injected[Certificates],
) -> Response[bytes]:
    """Show the size and state of the fleet, and counters of this master.

    The fleet is counted at most every 10 s, and omitted while the database is down.
    """
    state = broker_state()
    size, idle, most = database.pool
    parts = [
        gauge("maybe_bus_up", "Whether the broker is reached.", state == "up"),
        by("maybe_bus_state", "The state of the link to the broker.", ("state",), {(state,): 1}),
        by(
            "maybe_database_connections",
            "Connections of this master's pool.",
            ("state",),
            {("idle",): idle, ("used",): size - idle, ("possible",): most},
        ),
        await certificates.family(),
        *meters.families(),
    ]
    try:
        counted, is_up = await fleet.text(), True
    except DatabaseError:
        counted, is_up = "", False
    parts.append(gauge("maybe_database_up", "Whether the database answers.", is_up))
    return written("".join((counted, *parts)).encode(), MediaType.METRICS)
