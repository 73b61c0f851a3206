"""/locations"""

from litestar import Response, Router, delete, get, patch, post
from litestar.params import JSONBody

from master.api.dependencies import Injected
from master.api.openapi.route_docs import documented
from master.api.requests.reading import PathId
from master.api.responses import respond
from master.api.writes.idempotency import IdempotencyKey, StoredResponse, once, replay, stored_response
from master.db.constraints import writing
from master.db.database import Database, Session
from master.domain.locations import service as locations
from master.domain.locations.rebalancing import rebalance
from master.domain.locations.schemas import (
    Location,
    LocationList,
    LocationPage,
    LocationPatch,
    NewLocation,
    RebalanceQuery,
    RebalanceRequest,
    RebalanceResult,
)
from master.errors import Conflict, NameTaken, PortTaken, RotationUnderWay, StillUsed

REBALANCE_DEFAULTS = RebalanceRequest()


@get("/", summary="List locations", opt=documented(answers={200: "A page of locations."}))
async def list_locations(database: Injected[Database], parameters: Injected[LocationList]) -> LocationPage:
    """List the locations that match the filter, one page at a time."""
    async with database.session() as session:
        return await locations.page(session, parameters)


@post(
    "/",
    summary="Create a location",
    opt=documented(answers={201: "The location was created."}, problems=(NameTaken,)),
)
async def create_location(
    data: JSONBody[NewLocation], database: Injected[Database], idempotency_key: Injected[IdempotencyKey]
) -> Response[Location]:
    """Create a location. Its name must differ from the names of all other locations."""

    async def act(session: Session) -> StoredResponse:
        location = await locations.create(session, data)
        return stored_response(location, 201, {"Location": f"/locations/{location.id}"})

    stored, is_repeated = await once(database, idempotency_key.of(data), act)
    return replay(stored, is_repeated=is_repeated)


@get("/{location_id:int}", summary="Show a location", opt=documented(answers={200: "The location."}))
async def show_location(location_id: PathId, database: Injected[Database]) -> Location:
    """Show one location."""
    async with database.session() as session:
        return await locations.get(session, location_id)


@patch(
    "/{location_id:int}",
    summary="Change a location",
    opt=documented(answers={200: "The location after the change."}, problems=(NameTaken,)),
)
async def change_location(location_id: PathId, data: JSONBody[LocationPatch], database: Injected[Database]) -> Location:
    """Change the members that are in the body. Labels are merged into the labels of the location."""
    async with writing(database) as session:
        return await locations.change(session, location_id, data)


@delete(
    "/{location_id:int}",
    summary="Remove a location",
    opt=documented(answers={204: "The location was removed."}, problems=(StillUsed, Conflict)),
)
async def remove_location(location_id: PathId, database: Injected[Database]) -> None:
    """Remove a location. The request is refused while the location has nodes."""
    async with writing(database) as session:
        await locations.remove(session, location_id)


@post(
    "/{location_id:int}/rebalance",
    status_code=202,
    summary="Rebalance the nodes of a location",
    opt=documented(
        answers={
            202: "The proxies are moving.",
            200: "Nothing was changed: this was a dry run, or no proxy needs to move.",
        },
        problems=(PortTaken, RotationUnderWay),
    ),
)
async def rebalance_location(
    location_id: PathId,
    database: Injected[Database],
    parameters: Injected[RebalanceQuery],
    data: JSONBody[RebalanceRequest] = REBALANCE_DEFAULTS,
) -> Response[RebalanceResult]:
    """Move proxies between the nodes of a location until their numbers differ by at most one.

    As few proxies as possible move, and each moves make-before-break. Nodes that are offline or not active take no
    part. The body may be omitted.
    """
    async with writing(database) as session:
        result = await rebalance(session, location_id, data, dry_run=parameters.dry_run)
    return respond(result, 200 if parameters.dry_run or not result.moves else 202)


router = Router(
    "/locations",
    route_handlers=[
        list_locations,
        create_location,
        show_location,
        change_location,
        remove_location,
        rebalance_location,
    ],
)
