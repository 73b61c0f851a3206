"""/links, and /l/{secret} where they lead"""

from typing import Annotated

from litestar import Response, Router, delete, get, post
from litestar.params import JSONBody, PathParameter
from litestar.response import Stream

from master.actors import acting, cause, link_actor
from master.api.dependencies import Injected
from master.api.names import with_ids
from master.api.openapi.route_docs import documented
from master.api.requests.reading import PathId
from master.api.responses import respond
from master.db.constraints import writing
from master.db.database import Database, Row, Session
from master.domain.links import service as links
from master.domain.links.schemas import Link, LinkCreated, LinkList, LinkPage, NewLink
from master.domain.proxies.export.routes import FILES, exported
from master.domain.proxies.export.writers import writer
from master.domain.proxies.fleets import ids_by_node
from master.domain.proxies.schemas import LinkQuery, ProxyFilter
from master.domain.rotation import service as rotation
from master.domain.rotation.schemas import FleetRotation, RotateRequest
from master.errors import NotRotatable, RotationUnderWay, TooSoon

Secret = Annotated[str, PathParameter()]


@get("/", summary="List links", opt=documented(answers={200: "A page of links."}))
async def list_links(database: Injected[Database], parameters: Injected[LinkList]) -> LinkPage:
    """List the links, one page at a time. Their secrets are not shown."""
    async with database.session() as session:
        return await links.page(session, parameters)


@post(
    "/", summary="Create a link", opt=documented(answers={201: "The link was created. Its address is shown this once."})
)
async def create_link(
    data: JSONBody[NewLink], database: Injected[Database], public_url: Injected[str]
) -> Response[LinkCreated]:
    """Create a secret address that lists or rotates proxies. Whoever has the address can use it, and nothing else.

    The master stores only a hash of the secret.
    """
    async with database.transaction() as session:
        created = await links.create(session, await with_ids(session, data), public_url)
    return respond(created, 201, {"Location": f"/links/{created.id}", "Cache-Control": "no-store"})


@get("/{link_id:int}", summary="Show a link", opt=documented(answers={200: "The link."}))
async def show_link(link_id: PathId, database: Injected[Database]) -> Link:
    """Show one link, without its secret."""
    async with database.session() as session:
        return await links.get(session, link_id)


@delete("/{link_id:int}", summary="Remove a link", opt=documented(answers={204: "The link was removed."}))
async def remove_link(link_id: PathId, database: Injected[Database]) -> None:
    """Remove a link. From now on its address answers 404."""
    async with database.transaction() as session:
        await links.remove(session, link_id)


@get(
    "/l/{secret:str}",
    summary="Use a link",
    opt=documented(
        answers={200: "The proxies that the link lists.", 202: "The link's rotations are under way."},
        bodiless=(200,),
        streams=FILES,
        ignores_parameters=True,
        problems=(NotRotatable, RotationUnderWay, TooSoon),
    ),
)
async def use_link(
    secret: Secret, database: Injected[Database], parameters: Injected[LinkQuery]
) -> Stream | Response[FleetRotation]:
    """List the link's proxies, or begin to rotate them: all that match its filter, or none if one of them cannot be.

    A request within the link's `min_interval_s` is refused with 429 and Retry-After. Refused requests do not count as
    uses. Unknown query parameters are ignored.
    """
    async with writing(database) as session:
        link = await links.use(session, secret)
        if link["kind"] == "rotate":
            with acting(link_actor(link["id"]), cause().request_id):
                return respond(await begun(session, link), 202)
    filter_, part = ProxyFilter.model_validate(link["filter"]), links.filter_of(link)
    if part is not None:
        database = database.narrowed(part)
    return await exported(database, filter_, writer(link["format"], link["template"], raw=parameters.raw), {})


async def begun(session: Session, link: Row) -> FleetRotation:
    """Begin the rotations of a link. Raises Invalid, NotRotatable."""
    found = await ids_by_node(session, ProxyFilter.model_validate(link["filter"]))
    proxy_ids = sorted(id_ for ids in found.values() for id_ in ids)
    body = RotateRequest.model_validate(link["rotate"])
    ids = await rotation.request_rotations(session, proxy_ids, body) if proxy_ids else []
    return FleetRotation(matched=len(ids), rotation_ids=ids)


router = Router("/links", route_handlers=[list_links, create_link, show_link, remove_link])
