"""`dry_run=true`: carry out a write, roll it back, and answer with what it would have done."""

from litestar import Response

from master.api.requests.reading import ApiRequest
from master.api.responses import respond
from master.db.database import Database
from master.db.dry_run import DryRunDatabase, DryRunDone
from master.schemas.base import Query
from master.schemas.dry_run import DryRun, DryRunnable


def database_of(parameters: Query | None, database: Database) -> Database:
    """Return the database for a handler with these parameters: for a dry run, one that rolls back every transaction.

    A handler whose `parameters` have another `dry_run` handles it itself.
    """
    is_dry_run = isinstance(parameters, DryRunnable) and parameters.dry_run
    return DryRunDatabase(database) if is_dry_run else database


def on_dry_run(_: ApiRequest, done: DryRunDone) -> Response[DryRun]:
    """Answer with what the rolled-back transaction would have done."""
    return respond(done.result)
