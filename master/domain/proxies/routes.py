"""/proxies"""

from typing import Any

from litestar import Response, Router, delete, get, patch, post
from litestar.di import NamedDependency

from master.api.dependencies import Wiring
from master.api.idempotency import StoredResponse
from master.api.names import with_ids
from master.api.openapi.route_docs import PREFER, documented
from master.api.outcomes import WriteOutcome
from master.api.requests.reading import ApiRequest, PathId, read_body, read_if_match, read_query
from master.api.responses import keyed_request_of, once, resource_response, response, stored_response
from master.api.waiting import (
    CHANGED,
    NOT_YET,
    REMOVED,
    changes,
    confirmed,
    creates,
    etag,
    preference_applied,
    removed_response,
    wait_for_nodes,
    wait_of,
)
from master.db.constraints import writing
from master.db.database import Session
from master.domain.proxies import creation
from master.domain.proxies import service as proxies
from master.domain.proxies.schemas import (
    FleetChangeQuery,
    FleetOutcome,
    FleetPatch,
    FleetRemoveQuery,
    NewProxy,
    Proxy,
    ProxyList,
    ProxyPage,
    ProxyPatch,
)
from master.errors import CountDiffers, ExitMissing, NotFound, PortOutsideRange, PortTaken
from master.schemas.dry_run import TimedWrite
from master.schemas.pages import next_cursor


@get("/", summary="List proxies", opt=documented(query=ProxyList, answers={200: ProxyPage}))
async def list_proxies(request: ApiRequest, wiring: NamedDependency[Wiring]) -> Response[Any]:
    """By id, a page at a time."""
    asked = read_query(request, ProxyList)
    async with wiring.database.session() as session:
        asked = await with_ids(session, asked)
        items = await proxies.page(session, asked)
    return resource_response(ProxyPage(items=items, next=next_cursor(items, asked.limit)))


@post("/", summary="Make a proxy", opt=creates(NewProxy, Proxy, ExitMissing, PortTaken, PortOutsideRange))
async def create_proxy(request: ApiRequest, wiring: NamedDependency[Wiring]) -> Response[Any]:
    """On the least loaded active node of the location, or of the named nodes, or of those that are both."""
    asked, wish = read_query(request, TimedWrite), await read_body(request, NewProxy)
    placed: list[Proxy] = []

    async def act(session: Session) -> StoredResponse:
        placed.append(await creation.create(session, await with_ids(session, wish), allow_past=asked.allow_past))
        return stored_response(placed[0], 201, {**etag(placed[0].version), "Location": f"/proxies/{placed[0].id}"})

    given, replayed = await once(wiring, keyed_request_of(request, wish), act)
    wait_s = wait_of(request)
    if replayed or wait_s is None:
        return response(given, replayed=replayed)
    return await settled(wiring, placed[0], wait_s, 201, given.headers["Location"])


async def settled(wiring: Wiring, proxy: Proxy, wait_s: int, status: int, location: str | None = None) -> Response[Any]:
    """The proxy as it is when its node has confirmed it, or 202 as it is when the time is over."""
    done = await confirmed(wiring, wait_s, "proxies.all_settled", ids=[proxy.id])
    async with wiring.database.session() as session:
        now = await present(session, proxy)
    headers = {**etag(now.version), **preference_applied(wait_s), **({"Location": location} if location else {})}
    return resource_response(now, status if done else 202, headers)


async def present(session: Session, proxy: Proxy) -> Proxy:
    """The proxy as it is now; as it was when somebody has removed it meanwhile."""
    try:
        return await proxies.get(session, proxy.id)
    except NotFound:
        return proxy


@get("/{proxy_id:int}", summary="Show a proxy", opt=documented(answers={200: Proxy}, gives=("ETag",)))
async def show_proxy(proxy_id: PathId, wiring: NamedDependency[Wiring]) -> Response[Any]:
    """One proxy, with what its node says of it."""
    async with wiring.database.session() as session:
        proxy = await proxies.get(session, proxy_id)
    return resource_response(proxy, 200, etag(proxy.version))


@patch("/{proxy_id:int}", summary="Change a proxy", opt=changes(ProxyPatch, Proxy, PortTaken, PortOutsideRange))
async def change_proxy(request: ApiRequest, proxy_id: PathId, wiring: NamedDependency[Wiring]) -> Response[Any]:
    """Only what is given; labels are merged. Its version grows when anything is really otherwise."""
    asked, wish = read_query(request, TimedWrite), await read_body(request, ProxyPatch)
    versions = read_if_match(request.headers.get("if-match"))
    async with writing(wiring.database) as session:
        proxy = await proxies.change(session, proxy_id, wish, versions, allow_past=asked.allow_past)
    wait_s = wait_of(request)
    if wait_s is None:
        return resource_response(proxy, 200, etag(proxy.version))
    return await settled(wiring, proxy, wait_s, 200)


@delete("/{proxy_id:int}", status_code=200, summary="Remove a proxy", opt=REMOVED)
async def remove_proxy(request: ApiRequest, proxy_id: PathId, wiring: NamedDependency[Wiring]) -> Response[Any]:
    """Its node closes its port and its open connections."""
    versions = read_if_match(request.headers.get("if-match"))
    async with writing(wiring.database) as session:
        outcome = await proxies.remove(session, proxy_id, versions)
    return await removed_response(request, wiring, outcome)


FLEET_ANSWERS = {200: FleetOutcome, 202: FleetOutcome}


@patch(
    "/",
    summary="Change all proxies that a filter matches",
    opt=documented(
        query=FleetChangeQuery,
        body=FleetPatch,
        answers=FLEET_ANSWERS,
        headers=(PREFER,),
        gives=("Preference-Applied",),
        problems=(CountDiffers, *CHANGED),
        words={202: NOT_YET},
    ),
)
async def change_proxies(request: ApiRequest, wiring: NamedDependency[Wiring]) -> Response[Any]:
    """All or none, in one transaction, and only when the filter matches as many as `expect` says."""
    fleet, wish = read_query(request, FleetChangeQuery), await read_body(request, FleetPatch)
    async with writing(wiring.database) as session:
        fleet = await with_ids(session, fleet)
        outcome = await proxies.change_fleet(session, fleet, wish, allow_past=fleet.allow_past)
    return await told_outcome(request, wiring, outcome)


@delete(
    "/",
    status_code=200,
    summary="Remove all proxies that a filter matches",
    opt=documented(
        query=FleetRemoveQuery,
        answers=FLEET_ANSWERS,
        headers=(PREFER,),
        gives=("Preference-Applied",),
        problems=(CountDiffers,),
        words={202: NOT_YET},
    ),
)
async def remove_proxies(request: ApiRequest, wiring: NamedDependency[Wiring]) -> Response[Any]:
    """All or none, in one transaction, and only when the filter matches as many as `expect` says."""
    fleet = read_query(request, FleetRemoveQuery)
    async with writing(wiring.database) as session:
        outcome = await proxies.remove_fleet(session, await with_ids(session, fleet))
    return await told_outcome(request, wiring, outcome)


async def told_outcome(request: ApiRequest, wiring: Wiring, outcome: WriteOutcome) -> Response[Any]:
    """How many were matched and changed."""
    done, headers = await wait_for_nodes(request, wiring, outcome)
    return resource_response(
        FleetOutcome(matched=outcome.matched, changed=len(outcome.changed)), 200 if done else 202, headers
    )


router = Router(
    "/proxies",
    route_handlers=[
        list_proxies,
        create_proxy,
        show_proxy,
        change_proxy,
        remove_proxy,
        change_proxies,
        remove_proxies,
    ],
)
