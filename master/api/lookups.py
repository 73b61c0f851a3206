"""/lookup"""

from typing import Any

from litestar import Response, get
from litestar.di import NamedDependency

from master import lookups
from master.api.answers import shown
from master.api.reading import Asked, read_query
from master.api.seams import Wiring
from master.api.told import told
from master.lookups import Lookup, LookupList


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
