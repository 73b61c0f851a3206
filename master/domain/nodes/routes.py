"""/nodes"""

from typing import Any

import structlog
from litestar import Response, Router, delete, get, patch, post
from litestar.di import NamedDependency

from master.api.dependencies import Wiring
from master.api.encoding import empty
from master.api.idempotency import recall, remember
from master.api.names import named, with_ids
from master.api.openapi.route_docs import IDEMPOTENCY_KEY, documented
from master.api.requests.reading import ApiRequest, PathId, read_body, read_query
from master.api.responses import keyed_request_of, resource_response, response, stored_response
from master.db.constraints import writing
from master.domain.nodes import drain
from master.domain.nodes import service as nodes
from master.domain.nodes.enrolment_schemas import NewNode, ReplaceRequest
from master.domain.nodes.schemas import Node, NodeList, NodePage, NodePatch, NodeRemoval, SyncRequest
from master.errors import (
    BrokerAway,
    ChallengeUsed,
    Conflict,
    EngineMissing,
    ExitsUsed,
    InsufficientCapacity,
    NameTaken,
    NodeRefused,
    NodeTooSlow,
    NodeUnreachable,
    NotFound,
    PortsExcluded,
    PortTaken,
    StillUsed,
    invalid_at,
)
from master.schemas.pages import next_cursor
from shared.proxies import NodeId

log = structlog.get_logger()

CALLED = (NodeRefused, NodeUnreachable, NodeTooSlow, ChallengeUsed, BrokerAway)
"""Problems of a request that calls a waiting node."""
CHANGED = (NameTaken, PortsExcluded, PortTaken, ExitsUsed, Conflict)


@get("/", summary="List nodes", opt=documented(query=NodeList, answers={200: NodePage}))
async def list_nodes(request: ApiRequest, wiring: NamedDependency[Wiring]) -> Response[Any]:
    """By id, a page at a time."""
    asked = read_query(request, NodeList)
    async with wiring.database.session() as session:
        asked = await with_ids(session, asked)
        items = await nodes.page(session, asked)
    return resource_response(NodePage(items=items, next=next_cursor(items, asked.limit)))


@post(
    "/",
    summary="Enrol a waiting node",
    opt=documented(
        body=NewNode,
        answers={201: Node, 200: Node},
        headers=(IDEMPOTENCY_KEY,),
        gives=("Location", "Idempotency-Replayed"),
        problems=(*CALLED, NameTaken),
        words={200: "The challenge was used before: the same node", 201: "Enrolled"},
    ),
)
async def enrol_node(request: ApiRequest, wiring: NamedDependency[Wiring]) -> Response[Any]:
    """The master calls the node at its ip, proves the challenge that the node has printed, and gives it an identity."""
    wish = await read_body(request, NewNode)
    asked = keyed_request_of(request, wish)
    if asked is not None:
        async with wiring.database.transaction() as session:
            kept = await recall(session, asked)
        if kept is not None:
            return response(kept, replayed=True)
    node_id, new = await enrolled(wiring, wish)
    async with wiring.database.transaction() as session:
        node = await nodes.get(session, node_id)
        given = stored_response(node, 201 if new else 200, {"Location": f"/nodes/{node_id}"})
        if asked is not None:
            await remember(session, asked, given)
    return response(given)


async def enrolled(wiring: Wiring, wish: NewNode) -> tuple[NodeId, bool]:
    """The node's id, and whether it is new."""
    wish = await named(wiring.database, wish)
    try:
        return await wiring.enroller.enrol(
            wish.ip, wish.port, wish.challenge, wish.name, wish.location_id, dict(wish.labels)
        )
    except NotFound as error:
        raise invalid_at(error.detail, "/location_id") from error


@get("/{node_id:int}", summary="Show a node", opt=documented(answers={200: Node}))
async def show_node(node_id: PathId, wiring: NamedDependency[Wiring]) -> Response[Any]:
    """One node, with its latest word."""
    async with wiring.database.session() as session:
        return resource_response(await nodes.get(session, node_id))


@patch("/{node_id:int}", summary="Change a node", opt=documented(body=NodePatch, answers={200: Node}, problems=CHANGED))
async def change_node(request: ApiRequest, node_id: PathId, wiring: NamedDependency[Wiring]) -> Response[Any]:
    """Only what is given; labels are merged. Draining takes no new proxies, disabled stops those that there are.

    With `move` a draining node gives its proxies to other nodes, make before break; `moving` tells how far it is.
    """
    wish = await read_body(request, NodePatch)
    async with writing(wiring.database) as session:
        changed = await drain.change_node(session, node_id, await with_ids(session, wish))
    return resource_response(changed)


@delete(
    "/{node_id:int}",
    status_code=200,
    summary="Remove a node",
    opt=documented(
        query=NodeRemoval,
        answers={204: None, 202: Node},
        gives=("Location",),
        problems=(StillUsed, InsufficientCapacity),
        words={202: "Its proxies are moving; it goes when it is empty"},
    ),
)
async def remove_node(request: ApiRequest, node_id: PathId, wiring: NamedDependency[Wiring]) -> Response[Any]:
    """Refused while it has proxies, unless these shall go with it, or move to other nodes; its login goes with it.

    Those of a node that is online move make before break; those of any other are placed anew at once, all or none.
    """
    asked = read_query(request, NodeRemoval)
    async with writing(wiring.database) as session:
        leaving = None
        if asked.proxies == "move":
            leaving = await drain.leave(session, node_id, asked.overlap_s)
        else:
            await nodes.remove(session, node_id, with_proxies=asked.proxies == "delete")
    if leaving is not None:
        return resource_response(leaving, 202, {"Location": f"/nodes/{node_id}"})
    try:
        await wiring.enroller.remove(NodeId(node_id))
    except BrokerAway as error:
        log.warning("node.login_not_deleted", node_id=node_id, reason=error.reason)
    return empty(204)


@post(
    "/{node_id:int}/sync",
    status_code=202,
    summary="Compare a node with the database now",
    opt=documented(body=SyncRequest, needs_body=False, answers={202: None}, problems=(BrokerAway,)),
)
async def sync_node(request: ApiRequest, node_id: PathId, wiring: NamedDependency[Wiring]) -> Response[bytes]:
    """Has a check-sync sent; `confirm` lets a list pass that the node holds back. The body may be left out."""
    wish = await read_body(request, SyncRequest) if await request.body() else SyncRequest()
    async with wiring.database.session() as session:
        await nodes.get(session, node_id)
    await wiring.syncer.check(NodeId(node_id), confirm=wish.confirm)
    return empty(202)


router = Router(
    "/nodes",
    route_handlers=[list_nodes, enrol_node, show_node, change_node, remove_node, sync_node],
)


@post(
    "/nodes/{node_id:int}/replace",
    status_code=200,
    summary="Have a waiting box take a node over",
    opt=documented(body=ReplaceRequest, answers={200: Node}, problems=(*CALLED, PortTaken, EngineMissing, ExitsUsed)),
)
async def replace_node(request: ApiRequest, node_id: PathId, wiring: NamedDependency[Wiring]) -> Response[Any]:
    """The new box gets the node's id, name, place, limits and proxies with their ports and logins; `host` is its ip.

    The old box's login is refused from then on. The same challenge again is the same answer.
    """
    wish = await read_body(request, ReplaceRequest)
    await wiring.enroller.replace(NodeId(node_id), wish.ip, wish.port, wish.challenge)
    async with wiring.database.session() as session:
        return resource_response(await nodes.get(session, node_id))
