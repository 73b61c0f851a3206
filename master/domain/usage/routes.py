"""/usage"""

from datetime import UTC, datetime, time
from typing import Any

from litestar import Response, get
from litestar.di import NamedDependency

from master.api.dependencies import Wiring
from master.api.names import with_ids
from master.api.openapi.route_docs import documented
from master.api.requests.reading import ApiRequest, read_query
from master.api.responses import resource_response
from master.domain.usage import service as usage
from master.domain.usage.schemas import UsageList, UsagePage, UsageSum
from master.schemas.cursors import cursor


@get("/usage", summary="Sum up what was used", opt=documented(query=UsageList, answers={200: UsagePage}))
async def sum_usage(request: ApiRequest, wiring: NamedDependency[Wiring]) -> Response[Any]:
    """Bytes and connections as nodes have told them, each in the hour in which it was told: 15 s or so later."""
    asked = read_query(request, UsageList)
    async with wiring.database.transaction() as session:
        asked = await with_ids(session, asked)
        items = await usage.page(session, asked)
    return resource_response(UsagePage(items=items, next=keys(items[-1]) if len(items) == asked.limit else None))


def keys(last: UsageSum) -> str:
    """The cursor after this sum."""
    midnight = datetime.combine(last.day, time(), UTC) if last.day else None
    began = last.hour or midnight
    return cursor(int(began.timestamp()) if began else 0, last.stack_id or 0, last.proxy_id or 0, last.node_id or 0)
