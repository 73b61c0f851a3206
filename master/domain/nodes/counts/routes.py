"""/nodes/count"""

from litestar import get

from master.api.dependencies import Injected
from master.api.names import named
from master.api.openapi.route_docs import documented
from master.db.database import Database
from master.domain.nodes.counts.schemas import GROUPS, NodeCount, NodeCountQuery, NodeCounts
from master.domain.nodes.schemas import NodeFilter
from master.schemas.filters import filter_parameters
from master.schemas.grouping import group_from_row


@get("/nodes/count", summary="Count nodes", opt=documented(answers={200: "The numbers of nodes."}))
async def count_nodes(database: Injected[Database], parameters: Injected[NodeCountQuery]) -> NodeCounts:
    """Count the nodes that match the filter, in up to three groups, for example by state and link."""
    query = await named(database, parameters)
    groups = query.by.parameters(GROUPS)
    async with database.session() as session:
        rows = await session.rows("nodes.count", **filter_parameters(query, NodeFilter), **groups, limit=query.limit)
    items = [group_from_row(NodeCount, row, query.by) for row in rows] if query.by else []
    return NodeCounts(items=items, total=rows[0]["total"] if rows else 0)
