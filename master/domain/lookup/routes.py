"""/lookup"""

from litestar import get

from master.api.dependencies import Injected
from master.api.openapi.route_docs import documented
from master.db.database import Database
from master.domain.lookup import service as lookups
from master.domain.lookup.schemas import Lookup, LookupQuery


@get(
    "/lookup",
    summary="Find the proxy that had an address",
    opt=documented(answers={200: "A page of the proxies that had the address."}),
)
async def look_up(database: Injected[Database], parameters: Injected[LookupQuery]) -> Lookup:
    """Find the proxy that served at an IP address and `port`.

    Without `port`, find the proxies whose connections left their node by the address.

    Random IPv6 addresses are decoded with the keys of the nodes that draw from their prefix; no log of connections is
    kept. Only prefixes longer than a /64 may lead to several proxies. The history goes back HISTORY_KEEP_DAYS.
    """
    async with database.session() as session:
        return await lookups.look_up(session, parameters)
