"""`dry_run=true`: a write is done as it would be, taken back, and answered by what it would have done."""

from dataclasses import replace

from litestar import Response

from master.api.dependencies import Wiring
from master.api.openapi.route_docs import Told
from master.api.requests.reading import Asked, read_query
from master.api.responses import shown
from master.db.dry_run import Rehearsal, Rehearsed
from master.schemas.dry_run import Rehearsable, dry_run


def wired(request: Asked, wiring: Wiring) -> Wiring:
    """What the request's handler works with: a database in which nothing stays, if that is asked for.

    A handler whose own question has it answers for itself; elsewhere the parameter is unknown. Raises Invalid.
    """
    told = request.route_handler.opt.get("told")
    query = told.query if isinstance(told, Told) else None
    if query is not None and issubclass(query, Rehearsable):
        is_dry = read_query(request, query).dry_run
        return replace(wiring, database=Rehearsal(wiring.database)) if is_dry else wiring
    return wiring


def on_rehearsed(_: Asked, done: Rehearsed) -> Response[object]:
    """Nothing has been done."""
    return shown(dry_run(done.events))
