"""/usage"""

from litestar import get

from master.api.dependencies import Injected
from master.api.names import named
from master.api.openapi.route_docs import documented
from master.db.database import Database
from master.domain.usage import service as usage
from master.domain.usage.schemas import UsageList, UsagePage


@get("/usage", summary="Sum up usage", opt=documented(answers={200: "A page of sums."}))
async def sum_usage(database: Injected[Database], parameters: Injected[UsageList]) -> UsagePage:
    """Sum up bytes and connections, one page at a time, or list the largest sums.

    Nodes report usage about every 15 s, and each report counts in the hour in which it arrives. `by=label:customer` and
    `sort=-bytes` list the customers with the most traffic: usage counts for the labels that its proxy has now, or had
    when it was removed.
    """
    query = await named(database, parameters)
    async with database.transaction() as session:
        return await usage.page(session, query)
