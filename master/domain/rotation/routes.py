"""/proxies/…/rotate and /rotations"""

from litestar import Response, get, post
from litestar.params import JSONBody

from master.api.dependencies import Injected
from master.api.names import with_ids
from master.api.openapi.route_docs import documented
from master.api.requests.reading import PathId
from master.api.responses import respond
from master.api.writes.idempotency import IdempotencyKey, StoredResponse, once, replay, stored_response
from master.api.writes.waiting import Preference
from master.db.constraints import writing
from master.db.database import Database, Session
from master.domain.proxies import service as proxies
from master.domain.proxies.routes import current
from master.domain.proxies.schemas import FleetFilter
from master.domain.rotation import service as rotation
from master.domain.rotation.schemas import (
    FleetRotation,
    RotatedProxy,
    RotateRequest,
    Rotation,
    RotationList,
    RotationPage,
)
from master.errors import CountDiffers, InsufficientCapacity, NotRotatable, RotationUnderWay


@post(
    "/proxies/{proxy_id:int}/rotate",
    status_code=202,
    summary="Rotate a proxy",
    opt=documented(
        answers={
            202: "The rotation is under way.",
            200: "The new endpoint serves, or the rotation has failed. Only requests that wait get this answer.",
        },
        gives=("Location",),
        problems=(NotRotatable, InsufficientCapacity, RotationUnderWay),
    ),
)
async def rotate_proxy(
    proxy_id: PathId,
    data: JSONBody[RotateRequest],
    database: Injected[Database],
    idempotency_key: Injected[IdempotencyKey],
    preference: Injected[Preference],
) -> Response[RotatedProxy]:
    """Give the proxy a new exit, login, port or node, make-before-break.

    The new endpoint is started and probed before the proxy switches to it; then the former endpoint serves for
    `overlap_s` more seconds. If the new endpoint does not serve, the proxy stays as it is, and the rotation and an
    event give the reason.
    """
    begun: list[RotatedProxy] = []

    async def act(session: Session) -> StoredResponse:
        new = await rotation.rotate(session, proxy_id, await with_ids(session, data))
        begun.append(RotatedProxy(rotation=new, proxy=await proxies.get(session, proxy_id)))
        return stored_response(begun[0], 202, {"Location": f"/rotations/{new.id}"})

    stored, is_repeated = await once(database, idempotency_key.of(data), act)
    if is_repeated or preference.wait_s is None:
        return replay(stored, is_repeated=is_repeated)
    return await settled(database, preference, begun[0], stored.headers["Location"])


async def settled(
    database: Database, preference: Preference, begun: RotatedProxy, location: str
) -> Response[RotatedProxy]:
    """Answer once the rotation is past its probe or has failed; with 202 when the time is over before."""
    is_settled = await preference.holds("rotation.has_begun", id=begun.rotation.id)
    async with database.session() as session:
        now = RotatedProxy(
            rotation=await rotation.get(session, begun.rotation.id), proxy=await current(session, begun.proxy)
        )
    return respond(now, 200 if is_settled else 202, {"Location": location, **preference.headers})


@post(
    "/proxies/rotate",
    status_code=202,
    summary="Rotate all proxies that a filter matches",
    opt=documented(
        answers={202: "The rotations are under way."}, problems=(CountDiffers, NotRotatable, RotationUnderWay)
    ),
)
async def rotate_proxies(
    data: JSONBody[RotateRequest], database: Injected[Database], parameters: Injected[FleetFilter]
) -> FleetRotation:
    """Begin to rotate all proxies that the filter matches, or none. Each rotation then proceeds on its own.

    The request is refused if the filter matches another number of proxies than `expect`.
    """
    async with writing(database) as session:
        fleet, body = await with_ids(session, parameters), await with_ids(session, data)
        ids = await rotation.rotate_fleet(session, fleet, body)
    return FleetRotation(matched=len(ids), rotation_ids=ids)


@get("/rotations/{rotation_id:int}", summary="Show a rotation", opt=documented(answers={200: "The rotation."}))
async def show_rotation(rotation_id: PathId, database: Injected[Database]) -> Rotation:
    """Show the progress of a rotation. Rotations are kept for 30 days after they end."""
    async with database.session() as session:
        return await rotation.get(session, rotation_id)


@get("/rotations", summary="List rotations", opt=documented(answers={200: "A page of rotations."}))
async def list_rotations(database: Injected[Database], parameters: Injected[RotationList]) -> RotationPage:
    """List the rotations that match the filter, one page at a time; with `sort=-id` the newest first.

    Moves of proxies off a draining node are rotations, too.
    """
    async with database.session() as session:
        return await rotation.page(session, await with_ids(session, parameters))


handlers = [rotate_proxy, rotate_proxies, show_rotation, list_rotations]
