"""/nodes/…/replace and /locations/…/rebalance"""

from typing import Any

from litestar import Response, post
from litestar.di import NamedDependency

from master import nodes
from master.api.answers import shown
from master.api.nodes import CALLED
from master.api.reading import Asked, PathId, read_body, read_query
from master.api.seams import Wiring
from master.api.told import told
from master.conflicts import EngineMissing, ExitsUsed, PortTaken, RotationUnderWay, writing
from master.model.nodes import Node
from master.questions.locations import Rebalancing
from master.rebalancing import Balance, rebalance
from master.wishes.locations import RebalanceWish
from master.wishes.nodes import ReplaceWish
from shared.proxies import NodeId


@post(
    "/nodes/{node_id:int}/replace",
    status_code=200,
    summary="Have a waiting box take a node over",
    opt=told(body=ReplaceWish, answers={200: Node}, problems=(*CALLED, PortTaken, EngineMissing, ExitsUsed)),
)
async def replace_node(request: Asked, node_id: PathId, wiring: NamedDependency[Wiring]) -> Response[Any]:
    """The new box gets the node's id, name, place, limits and proxies with their ports and logins; `host` is its ip.

    The old box's login is refused from then on. The same challenge again is the same answer.
    """
    wish = await read_body(request, ReplaceWish)
    await wiring.enroller.replace(NodeId(node_id), wish.ip, wish.port, wish.challenge)
    async with wiring.database.session() as session:
        return shown(await nodes.get(session, node_id))


@post(
    "/locations/{location_id:int}/rebalance",
    status_code=202,
    summary="Balance the nodes of a location",
    opt=told(
        query=Rebalancing,
        body=RebalanceWish,
        needs_body=False,
        answers={200: Balance, 202: Balance},
        problems=(PortTaken, RotationUnderWay),
        words={200: "Nothing was done: a dry run, or there is nothing to move", 202: "Under way"},
    ),
)
async def rebalance_location(request: Asked, location_id: PathId, wiring: NamedDependency[Wiring]) -> Response[Any]:
    """As few proxies as possible move, make before break, until no node has two more than one that could take one.

    Nodes that are offline or not active neither give nor take. The body may be left out.
    """
    asked = read_query(request, Rebalancing)
    wish = await read_body(request, RebalanceWish) if await request.body() else RebalanceWish()
    async with writing(wiring.database) as session:
        balance = await rebalance(session, location_id, wish, dry_run=asked.dry_run)
    return shown(balance, 200 if asked.dry_run or not balance.moves else 202)


handlers = [replace_node, rebalance_location]
