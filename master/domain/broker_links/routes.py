"""/system/broker"""

from litestar import Router, get, post
from litestar.params import JSONBody

from master.api.dependencies import Injected
from master.api.openapi.route_docs import documented
from master.broker_links.connections import BrokerLinks
from master.broker_links.links import present
from master.broker_links.trial import UnusableLink, shares_queues, try_link
from master.db.constraints import writing
from master.db.database import Database
from master.domain.broker_links import service as moves
from master.domain.broker_links.new_link import changed_link, unusable
from master.domain.broker_links.schemas import BrokerOverview, FinishRequest, NewBrokerLink
from master.errors import BrokerMoveUnderWay, MastersNotMoved, NoBrokerMove, NodesNotMoved
from master.schemas.dry_run import DryRunnable

FINISH = FinishRequest()


@get("/", summary="Show the broker", opt=documented(answers={200: "The broker, and its move."}))
async def show_broker(database: Injected[Database], broker_links: Injected[BrokerLinks]) -> BrokerOverview:
    """Show where the broker is, and while it is being moved, which masters and nodes have followed."""
    async with database.session() as session:
        return await moves.show(session, broker_links.configured)


@post(
    "/",
    status_code=202,
    summary="Move the broker",
    opt=documented(answers={202: "The move has started."}, problems=(BrokerMoveUnderWay,)),
)
async def move_broker(
    data: JSONBody[NewBrokerLink],
    database: Injected[Database],
    broker_links: Injected[BrokerLinks],
    parameters: Injected[DryRunnable],
) -> BrokerOverview:
    """Move the broker to another place, from amqp to amqps, or to another certificate authority, without interruption.

    The master tries the new place first: login, rights, certificates and management API. When all masters are connected
    to both brokers, nodes are asked, a few at a time, to log in at the new one and to move only then. Proxies and their
    connections are not touched. End the move by `finish`, or give it up by `abort`.
    """
    async with database.session() as session:
        _, links = await moves.known_links(session, broker_links.configured)
    moves.refuse_second(links)
    link = changed_link(data, present(links))
    try:
        await try_link(link)
    except UnusableLink as error:
        raise unusable(error.member, error.reason) from error
    stays = await shares_queues(link, present(links))
    async with writing(database) as session:
        await moves.start(session, link, broker_links.configured, stays=stays)
        shown = await moves.show(session, broker_links.configured)
    broker_links.wake()
    return shown


@post(
    "/finish",
    status_code=200,
    summary="Finish a move of the broker",
    opt=documented(
        answers={200: "The former broker is being left."}, problems=(NoBrokerMove, NodesNotMoved, MastersNotMoved)
    ),
)
async def finish_move(
    database: Injected[Database],
    broker_links: Injected[BrokerLinks],
    data: JSONBody[FinishRequest] = FINISH,
) -> BrokerOverview:
    """Leave the former broker: the nodes' logins there are deleted, and then the masters disconnect.

    It is refused while a node has not moved, unless it is named in `force`. The body may be omitted.
    """
    async with writing(database) as session:
        await moves.finish(session, broker_links.configured, frozenset(data.force))
        shown = await moves.show(session, broker_links.configured)
    broker_links.wake()
    return shown


@post(
    "/abort",
    status_code=200,
    summary="Abort a move of the broker",
    opt=documented(answers={200: "The move was given up."}, problems=(NoBrokerMove,)),
)
async def abort_move(database: Injected[Database], broker_links: Injected[BrokerLinks]) -> BrokerOverview:
    """Give the move up. If nodes know the new place, they move back: end that move by `finish`, too."""
    async with writing(database) as session:
        await moves.abort(session, broker_links.configured)
        shown = await moves.show(session, broker_links.configured)
    broker_links.wake()
    return shown


router = Router("/system/broker", route_handlers=[show_broker, move_broker, finish_move, abort_move])
