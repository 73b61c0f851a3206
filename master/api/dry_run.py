"""`dry_run=true`: a write is done as it would be, taken back, and answered by what it would have done."""

from dataclasses import replace

from litestar import Response

from master.api.dependencies import Wiring
from master.api.openapi.route_docs import RouteDocs
from master.api.requests.reading import ApiRequest, read_query
from master.api.responses import resource_response
from master.db.dry_run import DryRunDatabase, DryRunDone
from master.schemas.dry_run import DryRunnable, dry_run


def wired(request: ApiRequest, wiring: Wiring) -> Wiring:
    """What the request's handler works with: a database in which nothing stays, if that is asked for.

    A handler whose own question has it answers for itself; elsewhere the parameter is unknown. Raises Invalid.
    """
    told = request.route_handler.opt.get("told")
    query = told.query if isinstance(told, RouteDocs) else None
    if query is not None and issubclass(query, DryRunnable):
        is_dry = read_query(request, query).dry_run
        return replace(wiring, database=DryRunDatabase(wiring.database)) if is_dry else wiring
    return wiring


def on_dry_run(_: ApiRequest, done: DryRunDone) -> Response[object]:
    """Nothing has been done."""
    return resource_response(dry_run(done.events))
