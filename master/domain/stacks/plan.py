"""How a stack comes to what is wanted of it: which of its proxies go, which change, and which are made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from master.db.database import Row, Session
from master.domain.events.log import NewEvent
from master.domain.proxies import removal
from master.domain.proxies import service as proxies
from master.domain.proxies.changes import ProxyChange, check_engines, check_exits, settings
from master.domain.stacks.bulk_creation import NewProxies, choose, created, make
from master.domain.stacks.template import Template, reapply_template
from master.errors import Invalid, pointed
from master.placement.spread import Spread
from shared.proxies import NodeId, ProxyId

SETTINGS = ("name", "spread", "proxy", "labels")


@dataclass(frozen=True, kw_only=True, slots=True)
class DesiredStack:
    """What a stack shall be. Without a count so many are wanted as there are when these have gone."""

    name: str
    spread: Spread
    proxy: Template = field(repr=False)
    labels: Mapping[str, str]
    count: int | None = None
    remove: Sequence[ProxyId] = ()

    @property
    def settings(self) -> dict[str, Any]:
        """All but the number."""
        return {name: getattr(self, name) for name in SETTINGS}


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """How a stack gets there: these proxies go, these stay, and one comes to each of these nodes, in this order.

    All these nodes are locked.
    """

    goes: Sequence[Row]
    stays: Sequence[Row]
    comes: Sequence[NodeId]
    nodes: Sequence[Row]


async def plan_first(session: Session, goal: DesiredStack) -> Plan:
    """Of a stack that is not there yet. Raises InsufficientCapacity."""
    wanted = NewProxies(count=goal.count or 0, template=goal.proxy, spread=goal.spread)
    comes = await choose(session, None, wanted)
    nodes = await session.rows("placement.lock_nodes", ids=sorted(set(comes)))
    return Plan(goes=(), stays=(), comes=comes, nodes=nodes)


async def plan(session: Session, id_: int, goal: DesiredStack) -> Plan:
    """Who goes, stays and comes, all nodes that this concerns being locked. Raises Invalid, InsufficientCapacity.

    Proxies may go, or be rotated to another node, while the locks are waited for: then it is planned anew.
    """
    while True:
        members = await session.rows("stacks.select_members", id=id_)
        goes, count = difference([row["id"] for row in members], goal)
        leaving = [row for row in members if row["id"] in goes]
        wanted = NewProxies(count=count, template=goal.proxy, spread=goal.spread, leaving=leaving)
        comes = await choose(session, id_, wanted)
        there = {row["node_id"] for row in await session.rows("stacks.select_nodes", id=id_)}
        nodes = await session.rows("placement.lock_nodes", ids=sorted(there.union(comes)))
        rows = await session.rows("proxies.select_of_stack", id=id_)
        if [(row["id"], row["node_id"]) for row in rows] == [(row["id"], row["node_id"]) for row in members]:
            return Plan(
                goes=[row for row in rows if row["id"] in goes],
                stays=[row for row in rows if row["id"] not in goes],
                comes=comes,
                nodes=nodes,
            )


def difference(ids: Sequence[ProxyId], goal: DesiredStack) -> tuple[frozenset[ProxyId], int]:
    """Which of a stack's proxies, by id, go, and how many come: first those that are named, then the newest.

    Raises Invalid.
    """
    members, named = set(ids), set(goal.remove)
    if strangers := [index for index, id_ in enumerate(goal.remove) if id_ not in members]:
        detail = f"proxy {goal.remove[strangers[0]]} is none of this stack"
        raise pointed(detail, *(f"/remove/{index}" for index in strangers))
    left = [id_ for id_ in ids if id_ not in named]
    count = len(left) if goal.count is None else goal.count
    return frozenset([*named, *left[count:]]), max(0, count - len(left))


async def apply(
    session: Session, id_: int, course: Plan, before: Template, after: Template
) -> tuple[set[NodeId], list[NewEvent]]:
    """Do it; the touched nodes, and what is still to be recorded."""
    touched: set[NodeId] = set()
    if after != before and course.stays:
        wanted = [ProxyChange(row=row, after=remade(row, before, after)) for row in course.stays]
        check_engines(course.nodes, wanted)
        check_exits(course.nodes, wanted)
        touched |= set((await proxies.write(session, wanted)).revisions)
    if course.goes:
        touched |= set((await removal.take_away(session, course.goes)).revisions)
    targets = set(course.comes)
    ips = [node["ip"] for node in course.nodes if node["id"] in targets]
    made = await make(session, id_, after, course.comes, ips)
    gone = [removal.deleted(row) for row in course.goes]
    return touched | targets, [*gone, *(created(id_, row, after) for row in made)]


def remade(row: Row, before: Template, after: Template) -> dict[str, Any]:
    """Settings of a proxy whose template changes. Raises Invalid when its own ones are at odds with that."""
    try:
        return reapply_template(settings(row), before, after)
    except Invalid as error:
        detail = f"proxy {row['id']} has settings of its own: {error.detail}"
        raise Invalid(detail, {**error.members, "proxy_id": row["id"]}) from error
