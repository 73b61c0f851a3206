"""/health"""

from typing import Any

from litestar import Response, get
from litestar.di import NamedDependency

from master.api.dependencies import Wiring
from master.api.openapi.route_docs import documented
from master.api.responses import resource_response
from master.domain.monitoring.schemas import Live, Ready


@get(
    "/health/live",
    summary="Whether the program runs",
    opt=documented(any_query=True, answers={200: Live}, asks_database=False),
)
async def live() -> Response[Any]:
    """Always 200; asks nobody else."""
    return resource_response(Live())


@get("/health/ready", summary="Whether requests are served", opt=documented(any_query=True, answers={200: Ready}))
async def ready(wiring: NamedDependency[Wiring]) -> Response[Any]:
    """503 while the database is away; without the broker the master is degraded, but serves."""
    async with wiring.database.session() as session:
        await session.value("health.ping")
    broker = wiring.broker_state()
    return resource_response(Ready(status="ok" if broker == "up" else "degraded", broker=broker))
