"""/invitations"""

from litestar import Response, Router, delete, get, post
from litestar.params import JSONBody

from master.api.dependencies import Injected
from master.api.names import with_ids
from master.api.openapi.route_docs import documented
from master.api.requests.reading import ApiRequest, PathId
from master.api.writes.idempotency import IdempotencyKey, StoredResponse, once, replay, stored_response
from master.db.database import Database, Session
from master.distribution.downloads.app import Downloads
from master.distribution.install_script import NoScript, RequestOrigin, origin_of
from master.domain.nodes.invitations import service as invitations
from master.domain.nodes.invitations.schemas import (
    Invitation,
    InvitationCreated,
    InvitationList,
    InvitationPage,
    NewInvitation,
)
from master.domain.nodes.protocols import InstallSource
from master.errors import BadRequest


@get("/", summary="List invitations", opt=documented(answers={200: "A page of invitations."}))
async def list_invitations(database: Injected[Database], parameters: Injected[InvitationList]) -> InvitationPage:
    """List the invitations, one page at a time. Their codes are not shown."""
    async with database.session() as session:
        return await invitations.page(session, parameters)


@post(
    "/",
    summary="Create an invitation",
    opt=documented(
        answers={201: "The invitation was created. Its code is shown this once."},
    ),
)
async def create_invitation(
    data: JSONBody[NewInvitation],
    database: Injected[Database],
    request: ApiRequest,
    downloads: Injected[Downloads],
    idempotency_key: Injected[IdempotencyKey],
) -> Response[InvitationCreated]:
    """Create a code by which up to `uses` waiting nodes enrol themselves until `expires_at`.

    Each node gets the location, labels, limits and exits of the invitation. A host takes the code as its variable
    NODE_INVITATION, by `command`, or by `cloud_init` at its first start. Whoever has the code can enrol a node;
    removing the invitation ends that.
    """

    source = await install_source(downloads, origin_of(request.scope))

    async def act(session: Session) -> StoredResponse:
        created = await invitations.create(session, await with_ids(session, data), source)
        headers = {"Location": f"/invitations/{created.id}", "Cache-Control": "no-store"}
        return stored_response(created, 201, headers)

    stored, is_repeated = await once(database, idempotency_key.of(data), act)
    return replay(stored, is_repeated=is_repeated)


@get("/{invitation_id:int}", summary="Show an invitation", opt=documented(answers={200: "The invitation."}))
async def show_invitation(invitation_id: PathId, database: Injected[Database]) -> Invitation:
    """Show one invitation, the nodes that were enrolled by it, and why the last one that failed did."""
    async with database.session() as session:
        return await invitations.get(session, invitation_id)


@delete(
    "/{invitation_id:int}", summary="Remove an invitation", opt=documented(answers={204: "The invitation was removed."})
)
async def remove_invitation(invitation_id: PathId, database: Injected[Database]) -> None:
    """Remove an invitation: no further node is enrolled by it. Nodes that were enrolled stay."""
    async with database.transaction() as session:
        await invitations.remove(session, invitation_id)


async def install_source(downloads: Downloads, origin: RequestOrigin) -> InstallSource:
    """Return where hosts find this master, which a client calls by this origin. Raises BadRequest."""
    release = (await downloads.folder.contents()).newest
    try:
        url = downloads.script.base_url(origin)
        return InstallSource(url, downloads.script.text(release, origin) if release is not None else None)
    except NoScript as error:
        raise BadRequest(str(error)) from error


router = Router(
    "/invitations", route_handlers=[list_invitations, create_invitation, show_invitation, remove_invitation]
)
