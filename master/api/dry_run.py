"""`dry_run=true`: carry out a write, roll it back, and answer with what it would have done."""

from litestar import Response

from master.api.requests.reading import ApiRequest, read_query
from master.api.requests.signatures import inputs_of
from master.api.responses import respond
from master.db.database import Database
from master.db.dry_run import DryRunDatabase, DryRunDone
from master.schemas.dry_run import DryRun, DryRunnable, dry_run


def database_of(request: ApiRequest, database: Database) -> Database:
    """Return the database for this request's handler: for a dry run, one that rolls back every transaction.

    A handler whose `parameters` have another `dry_run` handles it itself. Raises Invalid.
    """
    query = inputs_of(request.route_handler.fn).query
    if query is None or not issubclass(query, DryRunnable):
        return database
    return DryRunDatabase(database) if read_query(request, query).dry_run else database


def on_dry_run(_: ApiRequest, done: DryRunDone) -> Response[DryRun]:
    """Answer with what the rolled-back transaction would have done."""
    return respond(dry_run(done.events))
