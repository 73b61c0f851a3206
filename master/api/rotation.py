"""/proxies/…/rotate, /rotations and /proxies/…/check"""

from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency
from pydantic import Field

from master import proxies, rotation
from master.api.answers import answer, asked_with_key, once, response, shown
from master.api.proxies import present
from master.api.reading import Asked, PathId, read_body, read_query
from master.api.seams import Wiring
from master.api.told import IDEMPOTENCY_KEY, PREFER, told
from master.api.writes import applied, confirmed, wait_of
from master.conflicts import CountDiffers, NoRoom, NotRotatable, RotationUnderWay, writing
from master.db import Session
from master.idempotency import Answer
from master.model import Shown
from master.model.proxies import Proxy
from master.model.rotation import Rotation
from master.naming import with_ids
from master.probe import Verdict, probe, target_of
from master.questions.proxies import Fleet
from master.verdicts import Endpoint, Step
from master.wishes.proxies import CheckWish
from master.wishes.rotation import RotateWish

NOT_YET = "Under way"
FLEET = (CountDiffers, NotRotatable, RotationUnderWay)


class Rotated(Shown):
    """A rotation and its proxy, as both are now."""

    rotation: Rotation
    proxy: Proxy


class FleetRotation(Shown):
    """The rotations that were begun, one a proxy."""

    matched: int
    rotation_ids: list[int]


class Check(Shown):
    """How far a connection through the proxy came."""

    ok: bool
    latency_ms: float = Field(description="from the beginning to the destination's answer, or to what failed")
    exit_ip: str | None = Field(description="the address that the destination saw")
    failed_step: Step | None = Field(
        description="connect: to the proxy; login; destination: from the proxy to the target; answer: of the target"
    )
    reason: str | None


@post(
    "/proxies/{proxy_id:int}/rotate",
    status_code=202,
    summary="Rotate a proxy",
    opt=told(
        body=RotateWish,
        answers={200: Rotated, 202: Rotated},
        headers=(PREFER, IDEMPOTENCY_KEY),
        gives=("Location", "Preference-Applied", "Idempotency-Replayed"),
        problems=(NotRotatable, NoRoom, RotationUnderWay),
        words={200: "The new endpoint serves, or the rotation has failed", 202: NOT_YET},
    ),
)
async def rotate_proxy(request: Asked, proxy_id: PathId, wiring: NamedDependency[Wiring]) -> Response[Any]:
    """Make before break: the new endpoint runs and was probed before it is the proxy's; then the former one drains.

    When the new one does not serve, the proxy stays as it is, and the rotation and an event say why.
    """
    wish = await read_body(request, RotateWish)
    begun: list[Rotated] = []

    async def act(session: Session) -> Answer:
        made = await rotation.rotate(session, proxy_id, await with_ids(session, wish))
        begun.append(Rotated(rotation=made, proxy=await proxies.get(session, proxy_id)))
        return answer(begun[0], 202, {"Location": f"/rotations/{made.id}"})

    given, replayed = await once(wiring, asked_with_key(request, wish), act)
    wait_s = wait_of(request)
    if replayed or wait_s is None:
        return response(given, replayed=replayed)
    return await settled(wiring, begun[0], wait_s, given.headers["Location"])


async def settled(wiring: Wiring, begun: Rotated, wait_s: int, location: str) -> Response[Any]:
    """As both are when the rotation is past its probe or has failed, or 202 as they are when the time is over."""
    done = await confirmed(wiring, wait_s, "rotations.has_begun", id=begun.rotation.id)
    async with wiring.database.session() as session:
        now = Rotated(
            rotation=await rotation.get(session, begun.rotation.id), proxy=await present(session, begun.proxy)
        )
    return shown(now, 200 if done else 202, {"Location": location, **applied(wait_s)})


@post(
    "/proxies/rotate",
    status_code=202,
    summary="Rotate all proxies that a filter matches",
    opt=told(query=Fleet, body=RotateWish, answers={202: FleetRotation}, problems=FLEET, words={202: NOT_YET}),
)
async def rotate_proxies(request: Asked, wiring: NamedDependency[Wiring]) -> Response[Any]:
    """Begun for all or none, and only when the filter matches as many as `expect` says; then each goes on by itself."""
    fleet, wish = read_query(request, Fleet), await read_body(request, RotateWish)
    async with writing(wiring.database) as session:
        fleet, wish = await with_ids(session, fleet), await with_ids(session, wish)
        ids = await rotation.rotate_fleet(session, fleet, wish)
    return shown(FleetRotation(matched=len(ids), rotation_ids=ids), 202)


@get("/rotations/{rotation_id:int}", summary="Show a rotation", opt=told(answers={200: Rotation}))
async def show_rotation(rotation_id: PathId, wiring: NamedDependency[Wiring]) -> Response[Any]:
    """How far it is. Those that are over are kept for 30 days."""
    async with wiring.database.session() as session:
        found = await rotation.get(session, rotation_id)
    return shown(found)


@post(
    "/proxies/{proxy_id:int}/check",
    status_code=200,
    summary="Check a proxy from end to end",
    opt=told(body=CheckWish, answers={200: Check}),
)
async def check_proxy(request: Asked, proxy_id: PathId, wiring: NamedDependency[Wiring]) -> Response[Any]:
    """The master goes through the proxy as a client would.

    Without a target it asks the setting CHECK_TARGET or else an echo that the built-in engine has on the proxy's node.
    """
    wish = await read_body(request, CheckWish)
    async with wiring.database.session() as session:
        proxy = await proxies.get(session, proxy_id)
    url = wish.target or wiring.check_target
    verdict = await probe(endpoint_of(proxy), target_of(url))
    return shown(check_of(verdict, has_echo=url is not None or proxy.engine == "builtin"))


def endpoint_of(proxy: Proxy) -> Endpoint:
    """Where it serves."""
    return Endpoint(
        host=proxy.host,
        port=proxy.port,
        protocol=proxy.protocol,
        engine=proxy.engine,
        allow_ips=proxy.allow_ips,
        username=proxy.username,
        password=proxy.password,
    )


def check_of(verdict: Verdict, *, has_echo: bool) -> Check:
    """3proxy has no echo of its own: without a target there is nothing to say of what lies behind it."""
    failure = verdict.failure
    if failure is None:
        return Check(ok=True, latency_ms=verdict.latency_ms, exit_ip=verdict.exit_ip, failed_step=None, reason=None)
    if not has_echo and failure.step in ("destination", "answer"):
        reason = "only the login was checked: 3proxy has no echo, so give a target or set CHECK_TARGET"
        return Check(ok=True, latency_ms=verdict.latency_ms, exit_ip=None, failed_step=None, reason=reason)
    return Check(ok=False, latency_ms=verdict.latency_ms, exit_ip=None, failed_step=failure.step, reason=failure.reason)


handlers = [rotate_proxy, rotate_proxies, show_rotation, check_proxy]
