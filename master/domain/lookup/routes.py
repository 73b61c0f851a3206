"""/lookup"""

from typing import Any

from litestar import Response, get
from litestar.di import NamedDependency

from master.api.dependencies import Wiring
from master.api.openapi.route_docs import told
from master.api.requests.reading import Asked, read_query
from master.api.responses import shown
from master.domain.lookup import service as lookups
from master.domain.lookup.schemas import Lookup, LookupList


@get("/lookup", summary="Who had an address", opt=told(query=LookupList, answers={200: Lookup}))
async def look_up(request: Asked, wiring: NamedDependency[Wiring]) -> Response[Any]:
    """With `port`: which proxy served at this ip and port then. Without: whose connections left by this address.

    Random IPv6 addresses are decoded by the keys of the nodes that draw out of their prefix, without a log of
    connections; several proxies can be meant only with prefixes longer than a /64. What was so is kept for
    HISTORY_KEEP_DAYS.
    """
    asked = read_query(request, LookupList)
    async with wiring.database.session() as session:
        return shown(await lookups.look_up(session, asked))
