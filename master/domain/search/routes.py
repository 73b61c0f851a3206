"""/search"""

from litestar import get

from master.api.dependencies import Injected
from master.api.openapi.route_docs import documented
from master.db.database import Database
from master.domain.search import service
from master.domain.search.schemas import SearchQuery, SearchResults
from master.domain.search.terms import read_terms


@get("/search", summary="Search all kinds of resources", opt=documented(answers={200: "The results."}))
async def search(database: Injected[Database], parameters: Injected[SearchQuery]) -> SearchResults:
    """Find proxies, nodes, locations, stacks, links and webhooks by the beginning of a name or address, or by an id."""
    async with database.session() as session:
        return await service.find(session, read_terms(parameters.q), parameters.limit)
