"""/locations"""

from typing import Any

from litestar import Response, Router, delete, get, patch, post
from litestar.di import NamedDependency

from master.api.dependencies import Wiring
from master.api.idempotency import StoredResponse
from master.api.openapi.route_docs import IDEMPOTENCY_KEY, documented
from master.api.requests.reading import ApiRequest, PathId, read_body, read_query
from master.api.responses import keyed_request_of, once, resource_response, response, stored_response
from master.db.constraints import writing
from master.db.database import Session
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
from master.domain.nodes.routes import replace_node
from master.errors import Conflict, NameTaken, PortTaken, RotationUnderWay, StillUsed
from master.schemas.pages import next_cursor


@get("/", summary="List locations", opt=documented(query=LocationList, answers={200: LocationPage}))
async def list_locations(request: ApiRequest, wiring: NamedDependency[Wiring]) -> Response[Any]:
    """By id, a page at a time."""
    asked = read_query(request, LocationList)
    async with wiring.database.session() as session:
        items = await locations.page(session, asked)
    return resource_response(LocationPage(items=items, next=next_cursor(items, asked.limit)))


@post(
    "/",
    summary="Make a location",
    opt=documented(
        body=NewLocation,
        answers={201: Location},
        headers=(IDEMPOTENCY_KEY,),
        gives=("Location", "Idempotency-Replayed"),
        problems=(NameTaken,),
    ),
)
async def create_location(request: ApiRequest, wiring: NamedDependency[Wiring]) -> Response[Any]:
    """Its name is its own: another location has another."""
    wish = await read_body(request, NewLocation)

    async def act(session: Session) -> StoredResponse:
        made = await locations.create(session, wish)
        return stored_response(made, 201, {"Location": f"/locations/{made.id}"})

    given, replayed = await once(wiring, keyed_request_of(request, wish), act)
    return response(given, replayed=replayed)


@get("/{location_id:int}", summary="Show a location", opt=documented(answers={200: Location}))
async def show_location(location_id: PathId, wiring: NamedDependency[Wiring]) -> Response[Any]:
    """One location."""
    async with wiring.database.session() as session:
        return resource_response(await locations.get(session, location_id))


@patch(
    "/{location_id:int}",
    summary="Change a location",
    opt=documented(body=LocationPatch, answers={200: Location}, problems=(NameTaken,)),
)
async def change_location(request: ApiRequest, location_id: PathId, wiring: NamedDependency[Wiring]) -> Response[Any]:
    """Only what is given; labels are merged."""
    wish = await read_body(request, LocationPatch)
    async with writing(wiring.database) as session:
        changed = await locations.change(session, location_id, wish)
    return resource_response(changed)


@delete(
    "/{location_id:int}",
    summary="Remove a location",
    opt=documented(answers={204: None}, problems=(StillUsed, Conflict)),
)
async def remove_location(location_id: PathId, wiring: NamedDependency[Wiring]) -> None:
    """Refused while nodes stand there."""
    async with writing(wiring.database) as session:
        await locations.remove(session, location_id)


router = Router(
    "/locations",
    route_handlers=[list_locations, create_location, show_location, change_location, remove_location],
)


@post(
    "/locations/{location_id:int}/rebalance",
    status_code=202,
    summary="RebalanceResult the nodes of a location",
    opt=documented(
        query=RebalanceQuery,
        body=RebalanceRequest,
        needs_body=False,
        answers={200: RebalanceResult, 202: RebalanceResult},
        problems=(PortTaken, RotationUnderWay),
        words={200: "Nothing was done: a dry run, or there is nothing to move", 202: "Under way"},
    ),
)
async def rebalance_location(
    request: ApiRequest, location_id: PathId, wiring: NamedDependency[Wiring]
) -> Response[Any]:
    """As few proxies as possible move, make before break, until no node has two more than one that could take one.

    Nodes that are offline or not active neither give nor take. The body may be left out.
    """
    asked = read_query(request, RebalanceQuery)
    wish = await read_body(request, RebalanceRequest) if await request.body() else RebalanceRequest()
    async with writing(wiring.database) as session:
        balance = await rebalance(session, location_id, wish, dry_run=asked.dry_run)
    return resource_response(balance, 200 if asked.dry_run or not balance.moves else 202)


handlers = [replace_node, rebalance_location]
