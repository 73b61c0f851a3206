"""/proxies"""

from collections.abc import Awaitable, Callable
from typing import Any

from litestar import Response, Router, delete, get, patch, post
from litestar.params import JSONBody

from master.api.dependencies import IfMatch, Injected
from master.api.names import with_ids
from master.api.openapi.route_docs import NOT_YET, documented
from master.api.requests.reading import PathId
from master.api.responses import respond
from master.api.writes.idempotency import IdempotencyKey, StoredResponse, once, replay, stored_response
from master.api.writes.outcomes import WriteOutcome
from master.api.writes.waiting import Preference, etag, removed_response
from master.db.constraints import writing
from master.db.database import Database, Session
from master.db.dry_run import DryRunDone
from master.domain.proxies import creation, fleets
from master.domain.proxies import service as proxies
from master.domain.proxies.schemas import (
    FleetChangeQuery,
    FleetNode,
    FleetOutcome,
    FleetPatch,
    FleetRemoveQuery,
    NewProxy,
    Proxy,
    ProxyList,
    ProxyPage,
    ProxyPatch,
)
from master.errors import (
    CountDiffers,
    EngineMissing,
    ExitMissing,
    InsufficientCapacity,
    LicenseRefused,
    NameTaken,
    NotFound,
    PortOutsideRange,
    PortTaken,
    RotationUnderWay,
)
from master.schemas.base import SecretsQuery
from master.schemas.dry_run import DryRunnable, TimedWrite, with_matched

CHANGED = (EngineMissing, ExitMissing, RotationUnderWay)
"""Problems of a change of one proxy, or of many."""


@get("/", summary="List proxies", opt=documented(answers={200: "A page of proxies."}))
async def list_proxies(database: Injected[Database], parameters: Injected[ProxyList]) -> ProxyPage:
    """List the proxies that match the filter, one page at a time."""
    async with database.session() as session:
        return await proxies.page(session, await with_ids(session, parameters))


@post(
    "/",
    summary="Create a proxy",
    opt=documented(
        answers={201: "The proxy was created.", 202: NOT_YET},
        problems=(NameTaken, InsufficientCapacity, LicenseRefused, ExitMissing, PortTaken, PortOutsideRange),
    ),
)
async def create_proxy(
    data: JSONBody[NewProxy],
    database: Injected[Database],
    parameters: Injected[TimedWrite],
    idempotency_key: Injected[IdempotencyKey],
    preference: Injected[Preference],
) -> Response[Proxy]:
    """Create a proxy on the least loaded active node of the location, or of the nodes that are named.

    When both a location and nodes are given, the node must be one of the named nodes and in the location.
    """
    created: list[Proxy] = []

    async def act(session: Session) -> StoredResponse:
        proxy = await creation.create(session, await with_ids(session, data), allow_past=parameters.allow_past)
        created.append(proxy)
        return stored_response(proxy, 201, {**etag(proxy.version), "Location": f"/proxies/{proxy.id}"})

    stored, is_repeated = await once(database, idempotency_key.of(data), act)
    if is_repeated or preference.wait_s is None:
        return replay(stored, is_repeated=is_repeated)
    return await settled(database, preference, created[0], 201, stored.headers["Location"])


async def settled(
    database: Database, preference: Preference, proxy: Proxy, status: int, location: str | None = None
) -> Response[Proxy]:
    """Answer with the proxy once its node has confirmed it; with 202 when the time is over before."""
    is_settled = await preference.holds("proxies.all_settled", ids=[proxy.id])
    async with database.session() as session:
        now = await current(session, proxy)
    headers = {**etag(now.version), **preference.headers, **({"Location": location} if location else {})}
    return respond(now, status if is_settled else 202, headers)


async def current(session: Session, proxy: Proxy) -> Proxy:
    """Read the proxy again; return it as it was if it has been removed meanwhile."""
    try:
        return await proxies.get(session, proxy.id)
    except NotFound:
        return proxy


@get("/{proxy_id:int}", summary="Show a proxy", opt=documented(answers={200: "The proxy."}))
async def show_proxy(
    proxy_id: PathId, database: Injected[Database], parameters: Injected[SecretsQuery]
) -> Response[Proxy]:
    """Show one proxy, with the state that its node reports."""
    async with database.session() as session:
        proxy = await proxies.get(session, proxy_id)
    shown = proxy if parameters.shows_secrets else proxy.without_secrets()
    return respond(shown, 200, etag(proxy.version))


@patch(
    "/{proxy_id:int}",
    summary="Change a proxy",
    opt=documented(
        answers={200: "The proxy after the change.", 202: NOT_YET},
        problems=(*CHANGED, NameTaken, PortTaken, PortOutsideRange),
    ),
)
async def change_proxy(
    proxy_id: PathId,
    data: JSONBody[ProxyPatch],
    database: Injected[Database],
    parameters: Injected[TimedWrite],
    if_match: Injected[IfMatch],
    preference: Injected[Preference],
) -> Response[Proxy]:
    """Change the members that are in the body. Labels are merged into the labels of the proxy.

    The version grows only if the request changes something.
    """
    async with writing(database) as session:
        proxy = await proxies.change(session, proxy_id, data, if_match, allow_past=parameters.allow_past)
    if preference.wait_s is None:
        return respond(proxy, 200, etag(proxy.version))
    return await settled(database, preference, proxy, 200)


@delete(
    "/{proxy_id:int}",
    status_code=200,
    summary="Remove a proxy",
    opt=documented(answers={204: "The proxy was removed.", 202: NOT_YET}),
)
async def remove_proxy(
    proxy_id: PathId,
    database: Injected[Database],
    parameters: Injected[DryRunnable],
    if_match: Injected[IfMatch],
    preference: Injected[Preference],
) -> Response[bytes]:
    """Remove a proxy. Its node closes the port and the open connections."""
    async with writing(database) as session:
        outcome = await proxies.remove(session, proxy_id, if_match)
    return await removed_response(preference, outcome)


@patch(
    "/",
    summary="Change all proxies that a filter matches",
    opt=documented(
        answers={200: "The number of proxies that were changed.", 202: NOT_YET}, problems=(CountDiffers, *CHANGED)
    ),
)
async def change_proxies(
    data: JSONBody[FleetPatch],
    database: Injected[Database],
    parameters: Injected[FleetChangeQuery],
    preference: Injected[Preference],
) -> Response[FleetOutcome]:
    """Change all proxies that the filter matches, or none, in one transaction.

    The request is refused if the filter matches another number of proxies than `expect`.
    """

    async def act(session: Session) -> WriteOutcome:
        fleet = await with_ids(session, parameters)
        return await fleets.change_fleet(session, fleet, data, allow_past=fleet.allow_past)

    return await fleet_response(database, preference, act)


@delete(
    "/",
    status_code=200,
    summary="Remove all proxies that a filter matches",
    opt=documented(answers={200: "The number of proxies that were removed.", 202: NOT_YET}, problems=(CountDiffers,)),
)
async def remove_proxies(
    database: Injected[Database], parameters: Injected[FleetRemoveQuery], preference: Injected[Preference]
) -> Response[FleetOutcome]:
    """Remove all proxies that the filter matches, or none, in one transaction.

    The request is refused if the filter matches another number of proxies than `expect`.
    """

    async def act(session: Session) -> WriteOutcome:
        return await fleets.remove_fleet(session, await with_ids(session, parameters))

    return await fleet_response(database, preference, act)


async def fleet_response(
    database: Database, preference: Preference, act: Callable[[Session], Awaitable[WriteOutcome]]
) -> Response[Any]:
    """Carry out a write by filter; answer how many proxies were matched and changed, by node."""
    outcomes: list[WriteOutcome] = []
    try:
        async with writing(database) as session:
            outcomes.append(await act(session))
    except DryRunDone as done:
        return respond(with_matched(done.result, {one.node_id: one.matched for one in outcomes[0].by_node}))
    [outcome] = outcomes
    is_confirmed = await preference.is_confirmed(outcome)
    nodes = [FleetNode(node_id=one.node_id, matched=one.matched, changed=one.changed) for one in outcome.by_node]
    result = FleetOutcome(matched=outcome.matched, changed=len(outcome.changed), by_node=nodes)
    return respond(result, 200 if is_confirmed else 202, preference.headers)


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
