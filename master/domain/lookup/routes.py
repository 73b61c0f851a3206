"""/lookup"""

from typing import Any

from litestar import Response, get
from litestar.di import NamedDependency

from master.api.dependencies import Wiring
from master.api.openapi.route_docs import documented
from master.api.requests.reading import ApiRequest, read_query
from master.api.responses import resource_response
from master.domain.lookup import service as lookups
from master.domain.lookup.schemas import Lookup, LookupQuery


@get("/lookup", summary="Who had an address", opt=documented(query=LookupQuery, answers={200: Lookup}))
async def look_up(request: ApiRequest, wiring: NamedDependency[Wiring]) -> Response[Any]:
    """With `port`: which proxy served at this ip and port then. Without: whose connections left by this address.

    Random IPv6 addresses are decoded by the keys of the nodes that draw out of their prefix, without a log of
    connections; several proxies can be meant only with prefixes longer than a /64. What was so is kept for
    HISTORY_KEEP_DAYS.
    """
    asked = read_query(request, LookupQuery)
    async with wiring.database.session() as session:
        return resource_response(await lookups.look_up(session, asked))
