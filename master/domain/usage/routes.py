"""/usage"""

from datetime import UTC, datetime, time

from litestar import get

from master.api.dependencies import Injected
from master.api.names import with_ids
from master.api.openapi.route_docs import documented
from master.db.database import Database
from master.domain.usage import service as usage
from master.domain.usage.schemas import UsageList, UsagePage, UsageSum
from master.schemas.cursors import cursor


@get("/usage", summary="Sum up usage", opt=documented(answers={200: "A page of sums."}))
async def sum_usage(database: Injected[Database], parameters: Injected[UsageList]) -> UsagePage:
    """Sum up bytes and connections, one page at a time.

    Nodes report usage about every 15 s, and each report counts in the hour in which it arrives.
    """
    async with database.transaction() as session:
        query = await with_ids(session, parameters)
        items = await usage.page(session, query)
    return UsagePage(items=items, next=keys(items[-1]) if len(items) == query.limit else None)


def keys(last: UsageSum) -> str:
    """Return the cursor after this sum."""
    midnight = datetime.combine(last.day, time(), UTC) if last.day else None
    began = last.hour or midnight
    return cursor(int(began.timestamp()) if began else 0, last.stack_id or 0, last.proxy_id or 0, last.node_id or 0)
