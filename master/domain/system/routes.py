"""/system"""

from collections.abc import Callable

from litestar import get

from master.api.dependencies import Injected
from master.api.openapi.route_docs import documented
from master.db.database import Database
from master.domain.system import service as system
from master.domain.system.schemas import Configuration, RabbitMQ, System


@get("/system", summary="Show the system", opt=documented(answers={200: "The system."}))
async def show_system(
    database: Injected[Database],
    configuration: Injected[Configuration],
    broker_state: Injected[Callable[[], str]],
    broker_version: Injected[Callable[[], str | None]],
) -> System:
    """Show the masters of the cluster, versions, settings and retention. No secret is shown."""
    rabbitmq = RabbitMQ(version=broker_version(), state=broker_state())
    async with database.session() as session:
        return await system.show(session, configuration, rabbitmq)
