"""/upgrades"""

from litestar import Response, Router, get, patch, post
from litestar.params import JSONBody

from master.api.dependencies import Injected
from master.api.names import with_ids
from master.api.openapi.route_docs import documented
from master.api.requests.reading import ApiRequest, PathId
from master.api.responses import respond
from master.api.writes.idempotency import IdempotencyKey, StoredResponse, once, replay, stored_response
from master.db.constraints import writing
from master.db.database import Database, Session
from master.distribution.downloads.app import Downloads
from master.distribution.install_script import NoScript, origin_of
from master.domain.upgrades import service as upgrades
from master.domain.upgrades.releases import OfferedReleases
from master.domain.upgrades.schemas import (
    NewUpgrade,
    Upgrade,
    UpgradeList,
    UpgradePage,
    UpgradePatch,
    UpgradePreview,
    UpgradeQuery,
)
from master.errors import BadRequest, NoRelease, UpgradeEnded, UpgradeUnderWay

DEFAULTS = NewUpgrade()


@get("/", summary="List upgrades", opt=documented(answers={200: "A page of upgrades."}))
async def list_upgrades(database: Injected[Database], parameters: Injected[UpgradeList]) -> UpgradePage:
    """List the upgrades that match the filter, one page at a time; with `sort=-id` the newest first."""
    async with database.session() as session:
        return await upgrades.page(session, parameters)


@post(
    "/",
    status_code=201,
    summary="Start an upgrade",
    opt=documented(
        answers={
            201: "The upgrade has started.",
            200: "Dry run (`dry_run=true`): what the upgrade would do. Nothing was started.",
        },
        bodies={200: UpgradePreview},
        problems=(NoRelease, UpgradeUnderWay),
    ),
)
async def start_upgrade(
    database: Injected[Database],
    request: ApiRequest,
    downloads: Injected[Downloads],
    idempotency_key: Injected[IdempotencyKey],
    parameters: Injected[UpgradeQuery],
    data: JSONBody[NewUpgrade] = DEFAULTS,
) -> Response[Upgrade] | Response[UpgradePreview]:
    """Ask the nodes that the filter matches to install a version of the agent, a few at a time.

    `canary` nodes go first, alone; then at most `batch` are under way at a time. Each is watched for `soak_s` seconds
    at its new version. A node checks the signature of the bundle by its own keys, restarts its agent while its proxies
    continue to serve, and goes back to its former version when one of them no longer accepts connections. When more
    than `most_failed` nodes have failed, the upgrade is halted. One upgrade runs at a time. The body may be omitted.
    """
    release = await OfferedReleases(downloads.folder).find(data.version)
    if parameters.dry_run:
        async with database.session() as session:
            return respond(await upgrades.preview(session, await with_ids(session, data), release))

    try:
        base_url = downloads.script.base_url(origin_of(request.scope))
    except NoScript as error:
        raise BadRequest(str(error)) from error

    async def act(session: Session) -> StoredResponse:
        started = await upgrades.start(session, await with_ids(session, data), release, base_url)
        return stored_response(started, 201, {"Location": f"/upgrades/{started.id}"})

    stored, is_repeated = await once(database, idempotency_key.of(data), act)
    return replay(stored, is_repeated=is_repeated)


@get("/{upgrade_id:int}", summary="Show an upgrade", opt=documented(answers={200: "The upgrade with its nodes."}))
async def show_upgrade(upgrade_id: PathId, database: Injected[Database]) -> Upgrade:
    """Show one upgrade, with the state of each of its nodes, in the order in which they are asked."""
    async with database.session() as session:
        return await upgrades.get(session, upgrade_id)


@patch(
    "/{upgrade_id:int}",
    summary="Pause, resume or abort an upgrade",
    opt=documented(answers={200: "The upgrade after the change."}, problems=(UpgradeEnded,)),
)
async def change_upgrade(upgrade_id: PathId, data: JSONBody[UpgradePatch], database: Injected[Database]) -> Upgrade:
    """Set the state of the upgrade. Nodes that were asked before come to their end in any case.

    A halted upgrade that is resumed goes on with the nodes that are left. Those that failed are not asked again: start
    another upgrade for them.
    """
    async with writing(database) as session:
        return await upgrades.change(session, upgrade_id, data.state)


router = Router("/upgrades", route_handlers=[list_upgrades, start_upgrade, show_upgrade, change_upgrade])
