"""/proxies/…/check and /proxies/check"""

from litestar import post
from litestar.params import JSONBody

from master.api.dependencies import Injected
from master.api.names import with_ids
from master.api.openapi.route_docs import documented
from master.api.requests.reading import PathId
from master.db.constraints import existing
from master.db.database import Database
from master.domain.checks import service as checks
from master.domain.checks.schemas import CheckedProxy, CheckRequest, FleetCheck, FleetCheckQuery
from master.domain.proxies import fleets
from master.domain.proxies.proxy_parts import Check
from master.errors import CountDiffers


@post(
    "/proxies/{proxy_id:int}/check",
    status_code=200,
    summary="Check a proxy from end to end",
    opt=documented(answers={200: "How far the connection came. A check that fails is reported here, too."}),
)
async def check_proxy(
    proxy_id: PathId,
    data: JSONBody[CheckRequest],
    database: Injected[Database],
    check_target: Injected[str | None],
) -> Check:
    """Connect through the proxy as a client would, and request the target.

    Without `target` the master requests the URL of its setting CHECK_TARGET; without that setting, an echo service that
    the built-in engine runs on the node of the proxy. The result is kept as `last_check` of the proxy.
    """
    async with database.session() as session:
        row = existing(await session.row("proxies.select_one", id=proxy_id), "proxy", proxy_id)
    found = await checks.check(database, [row], data.target or check_target)
    return found[proxy_id]


@post(
    "/proxies/check",
    status_code=200,
    summary="Check all proxies that a filter matches",
    opt=documented(
        answers={200: "How far each connection came. Checks that fail are reported here, too."},
        problems=(CountDiffers,),
    ),
)
async def check_proxies(
    data: JSONBody[CheckRequest],
    database: Injected[Database],
    parameters: Injected[FleetCheckQuery],
    check_target: Injected[str | None],
) -> FleetCheck:
    """Check up to 500 proxies as `POST /proxies/{proxy_id}/check` checks one.

    Checks run side by side, each for 15 seconds at most, so the answer comes within a minute. The request is refused if
    the filter matches another number of proxies than `expect`.
    """
    async with database.session() as session:
        rows = await fleets.select_fleet(session, await with_ids(session, parameters))
    found = await checks.check(database, rows, data.target or check_target)
    items = [CheckedProxy(proxy_id=id_, check=check) for id_, check in found.items()]
    count = sum(each.ok for each in found.values())
    return FleetCheck(ok=count, failed=len(items) - count, items=items)


handlers = [check_proxy, check_proxies]
