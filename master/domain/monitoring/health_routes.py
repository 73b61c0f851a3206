"""/health"""

from collections.abc import Callable

from litestar import get

from master.api.dependencies import Injected
from master.api.openapi.route_docs import documented
from master.db.database import Database
from master.domain.monitoring.report import HealthReports
from master.domain.monitoring.schemas import HealthReport, Live, Ready


@get(
    "/health/live",
    summary="Report whether the program runs",
    opt=documented(answers={200: "The program runs."}, ignores_parameters=True),
)
async def live() -> Live:
    """Answer 200 as long as the program runs, without asking the database or the broker."""
    return Live()


@get(
    "/health/ready",
    summary="Report whether requests are served",
    opt=documented(answers={200: "Requests are served."}, ignores_parameters=True),
)
async def ready(database: Injected[Database], broker_state: Injected[Callable[[], str]]) -> Ready:
    """Answer 503 while the database is down. Without the broker the master is `degraded`, but serves requests."""
    async with database.session() as session:
        await session.value("health.ping")
    broker = broker_state()
    return Ready(status="ok" if broker == "up" else "degraded", broker=broker)


@get(
    "/health/report",
    summary="Examine the master and its surroundings",
    opt=documented(answers={200: "The report."}),
)
async def show_report(health_reports: Injected[HealthReports]) -> HealthReport:
    """Examine PostgreSQL, RabbitMQ, the nodes and the API's port, as `maybe-master doctor` does.

    An examination takes up to 40 s when something hangs. Its report is kept for 10 s; requests that come meanwhile wait
    for the same one.
    """
    return await health_reports.latest()
