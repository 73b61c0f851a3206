"""/labels"""

from litestar import get

from master.api.dependencies import Injected
from master.api.openapi.route_docs import documented
from master.db.database import Database
from master.domain.labels import service as labels
from master.domain.labels.schemas import LabelList, LabelUses


@get("/labels", summary="List labels in use", opt=documented(answers={200: "The keys with their values."}))
async def list_labels(database: Injected[Database], parameters: Injected[LabelList]) -> LabelUses:
    """List the keys of the labels of proxies, nodes, locations or stacks, each with its most frequent values."""
    async with database.session() as session:
        return await labels.uses(session, parameters)
