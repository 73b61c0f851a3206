"""/proxies/count"""

from litestar import get

from master.api.dependencies import Injected
from master.api.names import named
from master.api.openapi.route_docs import documented
from master.db.database import Database
from master.domain.proxies.counts.schemas import GROUPS, ProxyCountQuery, ProxyCounts, ProxyGroup
from master.domain.proxies.schemas import ProxyFilter
from master.schemas.filters import filter_parameters
from master.schemas.grouping import group_from_row


@get("/proxies/count", summary="Count proxies", opt=documented(answers={200: "The numbers of proxies."}))
async def count_proxies(database: Injected[Database], parameters: Injected[ProxyCountQuery]) -> ProxyCounts:
    """Count the proxies that match the filter, in up to three groups, for example by state and node."""
    query = await named(database, parameters)
    groups = query.by.parameters(GROUPS)
    async with database.session() as session:
        rows = await session.rows(
            "proxies.count", **filter_parameters(query, ProxyFilter), **groups, limit=query.limit, live=query.live
        )
    items = [group_from_row(ProxyGroup, row, query.by) for row in rows] if query.by else []
    return ProxyCounts(items=items, total=rows[0]["total"] if rows else 0)
