"""/nodes"""

import structlog
from litestar import Response, Router, delete, get, patch, post
from litestar.params import JSONBody

from master.api.dependencies import Injected
from master.api.encoding import empty
from master.api.names import named, with_ids
from master.api.openapi.route_docs import documented
from master.api.requests.reading import PathId
from master.api.responses import respond
from master.api.writes.idempotency import IdempotencyKey, recall, remember, replay, stored_response
from master.db.constraints import writing
from master.db.database import Database
from master.domain.nodes import drain
from master.domain.nodes import service as nodes
from master.domain.nodes.enrolment.schemas import NewNode, ReplaceRequest
from master.domain.nodes.protocols import Enroller, Syncer
from master.domain.nodes.schemas import Node, NodeList, NodePage, NodePatch, NodeRemoval, SyncRequest
from master.errors import (
    BrokerAway,
    ChallengeUsed,
    Conflict,
    EngineMissing,
    ExitsUsed,
    InsufficientCapacity,
    LicenseRefused,
    NameTaken,
    NodeRefused,
    NodeTooSlow,
    NodeUnreachable,
    PortsExcluded,
    PortTaken,
    StillUsed,
)
from shared.proxies import NodeId

log = structlog.get_logger()

SYNC_DEFAULTS = SyncRequest()
CALLED = (NodeRefused, NodeUnreachable, NodeTooSlow, ChallengeUsed, BrokerAway)
"""Problems of a request that calls a waiting node."""
CHANGED = (NameTaken, PortsExcluded, PortTaken, ExitsUsed, Conflict)


@get("/", summary="List nodes", opt=documented(answers={200: "A page of nodes."}))
async def list_nodes(database: Injected[Database], parameters: Injected[NodeList]) -> NodePage:
    """List the nodes that match the filter, one page at a time."""
    async with database.session() as session:
        return await nodes.page(session, await with_ids(session, parameters))


@post(
    "/",
    summary="Enrol a waiting node",
    opt=documented(
        answers={
            201: "The node was enrolled.",
            200: "The challenge was used before; this is the node that was enrolled with it.",
        },
        problems=(*CALLED, NameTaken, LicenseRefused),
    ),
)
async def enrol_node(
    data: JSONBody[NewNode],
    database: Injected[Database],
    enroller: Injected[Enroller],
    idempotency_key: Injected[IdempotencyKey],
) -> Response[Node]:
    """Enrol a waiting node.

    The master connects to the node at its `ip`, proves that it knows the challenge that the node prints, and gives the
    node its identity.
    """
    keyed = idempotency_key.of(data)
    if keyed is not None:
        async with database.transaction() as session:
            stored = await recall(session, keyed)
        if stored is not None:
            return replay(stored, is_repeated=True)
    body = await named(database, data)
    node_id, is_new = await enroller.enrol(
        body.ip, body.port, body.challenge, body.name, body.location_id, dict(body.labels)
    )
    async with database.transaction() as session:
        node = await nodes.get(session, node_id)
        answer = stored_response(node, 201 if is_new else 200, {"Location": f"/nodes/{node_id}"})
        if keyed is not None:
            await remember(session, keyed, answer)
    return replay(answer)


@get("/{node_id:int}", summary="Show a node", opt=documented(answers={200: "The node."}))
async def show_node(node_id: PathId, database: Injected[Database]) -> Node:
    """Show one node, with its latest report."""
    async with database.session() as session:
        return await nodes.get(session, node_id)


@patch(
    "/{node_id:int}",
    summary="Change a node",
    opt=documented(answers={200: "The node after the change."}, problems=CHANGED),
)
async def change_node(node_id: PathId, data: JSONBody[NodePatch], database: Injected[Database]) -> Node:
    """Change the members that are in the body. Labels are merged into the labels of the node.

    A node whose `state` is `draining` takes no new proxies; a `disabled` node stops its proxies. With `move` a draining
    node moves its proxies to other nodes, make-before-break; `moving` shows the progress.
    """
    async with writing(database) as session:
        return await drain.change_node(session, node_id, await with_ids(session, data))


@delete(
    "/{node_id:int}",
    status_code=200,
    summary="Remove a node",
    opt=documented(
        answers={204: "The node was removed.", 202: "The proxies are moving; the node is removed when it is empty."},
        gives=("Location",),
        problems=(StillUsed, InsufficientCapacity),
    ),
)
async def remove_node(
    node_id: PathId, database: Injected[Database], enroller: Injected[Enroller], parameters: Injected[NodeRemoval]
) -> Response[Node] | Response[bytes]:
    """Remove a node and its login. By default the request is refused while the node has proxies.

    `proxies=delete` removes them with the node. `proxies=move` moves them to other nodes: make-before-break if the node
    is online, otherwise all at once or none.
    """
    async with writing(database) as session:
        leaving = None
        if parameters.proxies == "move":
            leaving = await drain.leave(session, node_id, parameters.overlap_s)
        else:
            await nodes.remove(session, node_id, with_proxies=parameters.proxies == "delete")
    if leaving is not None:
        return respond(leaving, 202, {"Location": f"/nodes/{node_id}"})
    try:
        await enroller.remove(NodeId(node_id))
    except BrokerAway as error:
        log.warning("node.login_not_deleted", node_id=node_id, reason=error.reason)
    return empty(204)


@post(
    "/{node_id:int}/sync",
    status_code=202,
    summary="Compare a node with the database",
    opt=documented(answers={202: "The node was asked."}, problems=(BrokerAway,)),
)
async def sync_node(
    node_id: PathId,
    database: Injected[Database],
    syncer: Injected[Syncer],
    data: JSONBody[SyncRequest] = SYNC_DEFAULTS,
) -> Response[bytes]:
    """Compare the node's proxies with the database now instead of in the next round.

    With `confirm` the node also acts on a list that it holds back. The body may be omitted.
    """
    async with database.session() as session:
        await nodes.get(session, node_id)
    await syncer.check(NodeId(node_id), confirm=data.confirm)
    return empty(202)


@post(
    "/{node_id:int}/replace",
    status_code=200,
    summary="Let a waiting host take over a node",
    opt=documented(answers={200: "The node on its new host."}, problems=(*CALLED, PortTaken, EngineMissing, ExitsUsed)),
)
async def replace_node(
    node_id: PathId, data: JSONBody[ReplaceRequest], database: Injected[Database], enroller: Injected[Enroller]
) -> Node:
    """Give the node's id, name, location, limits and proxies, with their ports and logins, to a waiting host.

    `host` becomes the `ip` of the new host. The login of the former host is refused from then on. A repeated request
    with the same challenge gets the same answer.
    """
    await enroller.replace(NodeId(node_id), data.ip, data.port, data.challenge)
    async with database.session() as session:
        return await nodes.get(session, node_id)


router = Router(
    "/nodes",
    route_handlers=[list_nodes, enrol_node, show_node, change_node, remove_node, sync_node, replace_node],
)
