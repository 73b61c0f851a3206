"""Show, start, finish and abort a move of the broker. `master.sync.broker_moves` carries it on."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from master.broker_links.links import (
    BrokerLink,
    counting_links,
    link_from_row,
    outdated_settings,
    present,
)
from master.db.database import Row, Session
from master.domain.broker_links.schemas import (
    BrokerLinkResource,
    BrokerMove,
    BrokerOverview,
    LeftBroker,
    MasterLink,
    MissingNode,
    MovedNodes,
    OutdatedSetting,
)
from master.domain.events.log import NewEvent, record_events
from master.errors import BrokerMoveUnderWay, MastersNotMoved, NoBrokerMove, NodesNotMoved

MASTER_SILENT = timedelta(seconds=30)
"""A master that was not seen for so long does not run: it refreshes its row every 10 s."""
SHOWN = 100
OLD_AGENT = "its agent cannot be moved: upgrade it first"
NEVER_HEARD = "it has not reported yet"
OFFLINE = "it is offline"


async def known_links(
    session: Session, configured: BrokerLink, statement: str = "broker_links.select_all"
) -> tuple[Sequence[Row], Sequence[BrokerLink]]:
    """Return the rows, and the links that they are for a master with these settings."""
    rows = await session.rows(statement)
    return rows, counting_links([link_from_row(row) for row in rows], configured)


async def show(session: Session, configured: BrokerLink) -> BrokerOverview:
    """Return where the broker is, and its move."""
    rows, links = await known_links(session, configured)
    moving = moving_link(links)
    wrong = {} if moving is not None else outdated_settings(present(links), configured)
    return BrokerOverview(
        link=resource(present(links)),
        move=None if moving is None else await show_move(session, moving, links, rows),
        left=left_broker(links, rows),
        outdated_settings=[OutdatedSetting(name=name, value=value) for name, value in wrong.items()],
    )


def moving_link(links: Sequence[BrokerLink]) -> BrokerLink | None:
    """Return the link to which the broker is being moved."""
    return next((link for link in links if link.state in ("new", "both")), None)


async def show_move(session: Session, link: BrokerLink, links: Sequence[BrokerLink], rows: Sequence[Row]) -> BrokerMove:
    """Return the progress of the move to this link."""
    same = same_revs(link, links)
    masters = await session.rows("broker_moves.select_masters", rev=link.rev, silent=MASTER_SILENT)
    counts = await session.row("broker_moves.count_nodes", same=same)
    missing = await session.rows("broker_moves.select_missing", same=same, max_rows=SHOWN)
    return BrokerMove(
        link=resource(link),
        state="opening" if link.state == "new" else "moving",
        since=next(row["state_at"] for row in rows if row["rev"] == link.rev),
        masters=[MasterLink.model_validate(row) for row in masters],
        nodes=MovedNodes.model_validate(counts),
        missing=[missing_node(row) for row in missing],
    )


def missing_node(row: Row) -> MissingNode:
    """Return a node that has not moved, with the reason as far as it is known."""
    reason = row["reason"] or None
    if not row["online"]:
        reason = OFFLINE if row["has_reported"] else NEVER_HEARD
    elif row["state"] is None:
        reason = OLD_AGENT
    names = ("node_id", "name", "online", "rev", "state")
    return MissingNode(reason=reason, **{name: row[name] for name in names})


def left_broker(links: Sequence[BrokerLink], rows: Sequence[Row]) -> LeftBroker | None:
    """Return the broker that was left last."""
    left = next((link for link in reversed(links) if link.state in ("closing", "old")), None)
    if left is None:
        return None
    row = next(row for row in rows if row["rev"] == left.rev)
    return LeftBroker(
        rev=left.rev,
        amqp_urls=list(left.broker.bare_urls),
        state="closing" if left.state == "closing" else "closed",
        left_over=row["left_over"],
    )


def same_revs(link: BrokerLink, links: Sequence[BrokerLink]) -> list[int]:
    """Return the revisions with the same addresses and authorities for nodes, its own among them."""
    return [other.rev for other in links if (other.node_amqp_urls, other.ca) == (link.node_amqp_urls, link.ca)]


def resource(link: BrokerLink) -> BrokerLinkResource:
    """Return the link as the API shows it."""
    return BrokerLinkResource(
        rev=link.rev,
        amqp_urls=list(link.broker.bare_urls),
        management_urls=list(link.management_urls),
        node_amqp_urls=list(link.node_broker.bare_urls),
        ca=link.ca,
    )


async def start(session: Session, link: BrokerLink, configured: BrokerLink, *, stays: bool) -> None:
    """Write a new link, which all masters then open. Raises BrokerMoveUnderWay.

    `stays` is whether it leads to the same queues as the present one.
    """
    await session.execute("broker_moves.lock_table")
    rows, links = await known_links(session, configured)
    refuse_second(links)
    if not rows:
        await insert(session, configured)
    rev = await session.value("broker_moves.next_rev")
    queues = present(links).queues if stays else rev
    await insert(session, replace(link, rev=rev, queues=queues, state="new"))
    details = {"rev": rev, "amqp_urls": list(link.broker.bare_urls), "before": list(present(links).broker.bare_urls)}
    await record_events(session, [NewEvent(type="broker.move_started", details=details)])


def refuse_second(links: Sequence[BrokerLink]) -> None:
    """Raise BrokerMoveUnderWay during a move."""
    if (moving := moving_link(links)) is not None:
        raise BrokerMoveUnderWay(f"the broker is being moved already, to revision {moving.rev}", {"rev": moving.rev})


async def insert(session: Session, link: BrokerLink) -> None:
    """Write a link."""
    await session.execute("broker_moves.insert", **columns(link))


def columns(link: BrokerLink) -> Mapping[str, Any]:
    """Return the link as columns of the table, with its login."""
    return {
        "rev": link.rev,
        "amqp_urls": [url.get_secret_value() for url in link.amqp_urls],
        "management_urls": list(link.management_urls),
        "node_amqp_urls": list(link.node_amqp_urls),
        "ca": link.ca,
        "queues": link.queues,
        "state": link.state,
    }


async def finish(session: Session, configured: BrokerLink, force: Collection[str]) -> None:
    """End a move: the former broker is left. Raises NoBrokerMove, MastersNotMoved, NodesNotMoved."""
    _, links = await known_links(session, configured, "broker_moves.lock_all")
    moving, former = under_way(links), present(links)
    masters = await session.rows("broker_moves.select_masters", rev=moving.rev, silent=MASTER_SILENT)
    if away := [row["host"] for row in masters if not row["is_up"]]:
        detail = f"masters are not connected to the broker at its new place: {', '.join(away)}"
        raise MastersNotMoved(detail, {"masters": away})
    rows = await session.rows("broker_moves.select_missing", same=same_revs(moving, links), max_rows=None)
    left = [row["name"] for row in rows]
    refuse_stranding(left, force)
    await session.execute("broker_moves.set_state", rev=former.rev, state="closing")
    await session.execute("broker_moves.set_state", rev=moving.rev, state="only")
    details = {"rev": moving.rev, "amqp_urls": list(moving.broker.bare_urls), "given_up": left}
    await record_events(session, [NewEvent(type="broker.move_finished", details=details)])


def under_way(links: Sequence[BrokerLink]) -> BrokerLink:
    """Return the link to which the broker is being moved. Raises NoBrokerMove."""
    moving = moving_link(links)
    if moving is None:
        raise NoBrokerMove("the broker is not being moved")
    return moving


def refuse_stranding(names: Sequence[str], force: Collection[str]) -> None:
    """Refuse to give up a node that is not named. Raises NodesNotMoved."""
    unnamed = [name for name in names if name not in force]
    if unnamed:
        detail = f"{len(unnamed)} nodes have not moved, such as {unnamed[0]}; GET /system/broker shows why"
        raise NodesNotMoved(detail, {"count": len(unnamed), "nodes": unnamed[:SHOWN]})


async def abort(session: Session, configured: BrokerLink) -> None:
    """Give a move up. Nodes that have moved are asked to come back by a further one. Raises NoBrokerMove.

    That further move has the former addresses under a new revision, and is finished like any other.
    """
    _, links = await known_links(session, configured, "broker_moves.lock_all")
    moving, former = under_way(links), present(links)
    details: dict[str, object] = {"rev": moving.rev}
    if moving.state == "new":
        await session.execute("broker_moves.set_state", rev=moving.rev, state="closing")
    else:
        back = replace(former, rev=await session.value("broker_moves.next_rev"), state="both")
        await session.execute("broker_moves.set_state", rev=former.rev, state="old")
        await session.execute("broker_moves.set_state", rev=moving.rev, state="only")
        await insert(session, back)
        details |= {"back_to": list(back.broker.bare_urls), "back_rev": back.rev}
    await record_events(session, [NewEvent(type="broker.move_aborted", details=details)])
