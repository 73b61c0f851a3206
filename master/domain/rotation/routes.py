"""/proxies/…/rotate, /rotations and /proxies/…/check"""

from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency

from master.api.dependencies import Wiring
from master.api.idempotency import StoredResponse
from master.api.names import with_ids
from master.api.openapi.route_docs import IDEMPOTENCY_KEY, PREFER, documented
from master.api.requests.reading import ApiRequest, PathId, read_body, read_query
from master.api.responses import keyed_request_of, once, resource_response, response, stored_response
from master.api.waiting import confirmed, preference_applied, wait_of
from master.db.constraints import writing
from master.db.database import Session
from master.domain.checks.routes import check_proxy
from master.domain.proxies import service as proxies
from master.domain.proxies.routes import present
from master.domain.proxies.schemas import FleetFilter
from master.domain.rotation import service as rotation
from master.domain.rotation.schemas import FleetRotation, RotatedProxy, RotateRequest, Rotation
from master.errors import CountDiffers, InsufficientCapacity, NotRotatable, RotationUnderWay

NOT_YET = "Under way"
FLEET = (CountDiffers, NotRotatable, RotationUnderWay)


@post(
    "/proxies/{proxy_id:int}/rotate",
    status_code=202,
    summary="Rotate a proxy",
    opt=documented(
        body=RotateRequest,
        answers={200: RotatedProxy, 202: RotatedProxy},
        headers=(PREFER, IDEMPOTENCY_KEY),
        gives=("Location", "Preference-Applied", "Idempotency-Replayed"),
        problems=(NotRotatable, InsufficientCapacity, RotationUnderWay),
        words={200: "The new endpoint serves, or the rotation has failed", 202: NOT_YET},
    ),
)
async def rotate_proxy(request: ApiRequest, proxy_id: PathId, wiring: NamedDependency[Wiring]) -> Response[Any]:
    """Make before break: the new endpoint runs and was probed before it is the proxy's; then the former one drains.

    When the new one does not serve, the proxy stays as it is, and the rotation and an event say why.
    """
    wish = await read_body(request, RotateRequest)
    begun: list[RotatedProxy] = []

    async def act(session: Session) -> StoredResponse:
        made = await rotation.rotate(session, proxy_id, await with_ids(session, wish))
        begun.append(RotatedProxy(rotation=made, proxy=await proxies.get(session, proxy_id)))
        return stored_response(begun[0], 202, {"Location": f"/rotations/{made.id}"})

    given, replayed = await once(wiring, keyed_request_of(request, wish), act)
    wait_s = wait_of(request)
    if replayed or wait_s is None:
        return response(given, replayed=replayed)
    return await settled(wiring, begun[0], wait_s, given.headers["Location"])


async def settled(wiring: Wiring, begun: RotatedProxy, wait_s: int, location: str) -> Response[Any]:
    """As both are when the rotation is past its probe or has failed, or 202 as they are when the time is over."""
    done = await confirmed(wiring, wait_s, "rotation.has_begun", id=begun.rotation.id)
    async with wiring.database.session() as session:
        now = RotatedProxy(
            rotation=await rotation.get(session, begun.rotation.id), proxy=await present(session, begun.proxy)
        )
    return resource_response(now, 200 if done else 202, {"Location": location, **preference_applied(wait_s)})


@post(
    "/proxies/rotate",
    status_code=202,
    summary="Rotate all proxies that a filter matches",
    opt=documented(
        query=FleetFilter, body=RotateRequest, answers={202: FleetRotation}, problems=FLEET, words={202: NOT_YET}
    ),
)
async def rotate_proxies(request: ApiRequest, wiring: NamedDependency[Wiring]) -> Response[Any]:
    """Begun for all or none, and only when the filter matches as many as `expect` says; then each goes on by itself."""
    fleet, wish = read_query(request, FleetFilter), await read_body(request, RotateRequest)
    async with writing(wiring.database) as session:
        fleet, wish = await with_ids(session, fleet), await with_ids(session, wish)
        ids = await rotation.rotate_fleet(session, fleet, wish)
    return resource_response(FleetRotation(matched=len(ids), rotation_ids=ids), 202)


@get("/rotations/{rotation_id:int}", summary="Show a rotation", opt=documented(answers={200: Rotation}))
async def show_rotation(rotation_id: PathId, wiring: NamedDependency[Wiring]) -> Response[Any]:
    """How far it is. Those that are over are kept for 30 days."""
    async with wiring.database.session() as session:
        found = await rotation.get(session, rotation_id)
    return resource_response(found)


handlers = [rotate_proxy, rotate_proxies, show_rotation, check_proxy]
