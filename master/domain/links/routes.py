"""/links, and /l/{secret} where they lead"""

from typing import Annotated, Any

from litestar import Response, Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import PathParameter
from litestar.response import Stream

from master.api.dependencies import Wiring
from master.api.names import with_ids
from master.api.openapi.route_docs import documented
from master.api.requests.reading import ApiRequest, PathId, read_body, read_query
from master.api.responses import resource_response
from master.db.constraints import writing
from master.db.database import Row, Session
from master.domain.links import service as links
from master.domain.links.schemas import Link, LinkCreated, LinkList, LinkPage, NewLink
from master.domain.proxies import service as proxies
from master.domain.proxies.export import writer
from master.domain.proxies.export_routes import FILES, exported
from master.domain.proxies.schemas import LinkQuery, ProxyFilter
from master.domain.rotation import service as rotation
from master.domain.rotation.schemas import FleetRotation, RotateRequest
from master.errors import NotRotatable, RotationUnderWay, TooSoon
from master.schemas.cursors import cursor

Secret = Annotated[str, PathParameter()]


@get("/", summary="List links", opt=documented(query=LinkList, answers={200: LinkPage}))
async def list_links(request: ApiRequest, wiring: NamedDependency[Wiring]) -> Response[Any]:
    """By id, a page at a time, without their secrets."""
    asked = read_query(request, LinkList)
    async with wiring.database.session() as session:
        items = await links.page(session, asked)
    return resource_response(LinkPage(items=items, next=cursor(items[-1].id) if len(items) == asked.limit else None))


@post("/", summary="Make a link", opt=documented(body=NewLink, answers={201: LinkCreated}, gives=("Location",)))
async def create_link(request: ApiRequest, wiring: NamedDependency[Wiring]) -> Response[Any]:
    """Whoever has its address can use it, and nothing else. Only a hash of the secret in it is kept."""
    wish = await read_body(request, NewLink)
    async with wiring.database.transaction() as session:
        made = await links.create(session, await with_ids(session, wish), wiring.public_url or str(request.base_url))
    return resource_response(made, 201, {"Location": f"/links/{made.id}", "Cache-Control": "no-store"})


@get("/{link_id:int}", summary="Show a link", opt=documented(answers={200: Link}))
async def show_link(link_id: PathId, wiring: NamedDependency[Wiring]) -> Response[Any]:
    """Without its secret."""
    async with wiring.database.session() as session:
        return resource_response(await links.get(session, link_id))


@delete("/{link_id:int}", summary="Remove a link", opt=documented(answers={204: None}))
async def remove_link(link_id: PathId, wiring: NamedDependency[Wiring]) -> None:
    """It leads nowhere from now on."""
    async with wiring.database.transaction() as session:
        await links.remove(session, link_id)


@get(
    "/l/{secret:str}",
    summary="Use a link",
    opt=documented(
        query=LinkQuery,
        any_query=True,
        answers={200: None, 202: FleetRotation},
        streams=FILES,
        problems=(NotRotatable, RotationUnderWay, TooSoon),
    ),
)
async def use_link(request: ApiRequest, secret: Secret, wiring: NamedDependency[Wiring]) -> Stream | Response[Any]:
    """The proxies that it lists, or the rotations that it began: of all that match or, when one cannot be, of none.

    Before its least interval is over: 429 with Retry-After. What is refused was no use.
    """
    use = read_query(request, LinkQuery, others=True)
    async with writing(wiring.database) as session:
        link = await links.use(session, secret)
        if link["kind"] == "rotate":
            return resource_response(await begun(session, link), 202)
    asked = ProxyFilter.model_validate(link["filter"])
    return await exported(wiring, asked, writer(link["format"], link["template"], raw=use.raw), {})


async def begun(session: Session, link: Row) -> FleetRotation:
    """Raises Invalid, NotRotatable."""
    rows = await proxies.matching(session, ProxyFilter.model_validate(link["filter"]))
    ids = await rotation.request_rotations(session, rows, RotateRequest.model_validate(link["rotate"])) if rows else []
    return FleetRotation(matched=len(rows), rotation_ids=ids)


router = Router("/links", route_handlers=[list_links, create_link, show_link, remove_link])
