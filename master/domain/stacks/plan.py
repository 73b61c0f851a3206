"""Plan and apply a stack change: proxies to delete, update and create."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from master.db.database import Row, Session
from master.domain.events.log import NewEvent
from master.domain.proxies import removal
from master.domain.proxies import service as proxies
from master.domain.proxies.changes import ProxyChange, check_engines, check_exits, settings
from master.domain.stacks.bulk_creation import NewProxies, choose_nodes, created_event, insert_proxies
from master.domain.stacks.template import Template, reapply_template
from master.errors import Invalid, invalid_at
from master.placement.spread import Spread
from shared.proxies import NodeId, ProxyId

SETTINGS = ("name", "spread", "proxy", "labels")


@dataclass(frozen=True, kw_only=True, slots=True)
class DesiredStack:
    """The desired state of a stack. Without a count it keeps the proxies that are left after `remove`."""

    name: str
    spread: Spread
    proxy: Template = field(repr=False)
    labels: Mapping[str, str]
    count: int | None = None
    remove: Sequence[ProxyId] = ()

    @property
    def settings(self) -> dict[str, Any]:
        """The settings besides the count."""
        return {name: getattr(self, name) for name in SETTINGS}


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The proxies to delete and to keep, and the nodes of the proxies to create, in order. All nodes are locked."""

    delete: Sequence[Row]
    keep: Sequence[Row]
    create: Sequence[NodeId]
    nodes: Sequence[Row]


async def plan_new(session: Session, desired: DesiredStack) -> Plan:
    """Plan a new stack. Raises InsufficientCapacity."""
    new = NewProxies(count=desired.count or 0, template=desired.proxy, spread=desired.spread)
    chosen = await choose_nodes(session, None, new)
    nodes = await session.rows("placement.lock_nodes", ids=sorted(set(chosen)))
    return Plan(delete=(), keep=(), create=chosen, nodes=nodes)


async def plan(session: Session, id_: int, desired: DesiredStack) -> Plan:
    """Plan the change of a stack and lock all affected nodes. Raises Invalid, InsufficientCapacity.

    Proxies may be removed, or rotated to another node, while this waits for the locks; then it plans again.
    """
    while True:
        members = await session.rows("stacks.select_members", id=id_)
        to_delete, count = difference([row["id"] for row in members], desired)
        leaving = [row for row in members if row["id"] in to_delete]
        new = NewProxies(count=count, template=desired.proxy, spread=desired.spread, leaving=leaving)
        chosen = await choose_nodes(session, id_, new)
        present = {row["node_id"] for row in await session.rows("stacks.select_nodes", id=id_)}
        nodes = await session.rows("placement.lock_nodes", ids=sorted(present.union(chosen)))
        rows = await session.rows("proxies.select_of_stack", id=id_)
        if [(row["id"], row["node_id"]) for row in rows] == [(row["id"], row["node_id"]) for row in members]:
            return Plan(
                delete=[row for row in rows if row["id"] in to_delete],
                keep=[row for row in rows if row["id"] not in to_delete],
                create=chosen,
                nodes=nodes,
            )


def difference(ids: Sequence[ProxyId], desired: DesiredStack) -> tuple[frozenset[ProxyId], int]:
    """Return which of a stack's proxies to delete, first the named ones, then the newest; and how many to create.

    Raises Invalid.
    """
    members, named = set(ids), set(desired.remove)
    if foreign := [index for index, id_ in enumerate(desired.remove) if id_ not in members]:
        detail = f"proxy {desired.remove[foreign[0]]} does not belong to this stack"
        raise invalid_at(detail, *(f"/remove/{index}" for index in foreign))
    left = [id_ for id_ in ids if id_ not in named]
    count = len(left) if desired.count is None else desired.count
    return frozenset([*named, *left[count:]]), max(0, count - len(left))


async def apply(
    session: Session, id_: int, plan_: Plan, before: Template, after: Template
) -> tuple[set[NodeId], list[NewEvent]]:
    """Apply a plan. Return the touched nodes, and the events to record."""
    touched: set[NodeId] = set()
    if after != before and plan_.keep:
        changes = [ProxyChange(row=row, after=settings_after(row, before, after)) for row in plan_.keep]
        check_engines(plan_.nodes, changes)
        check_exits(plan_.nodes, changes)
        touched |= set((await proxies.write(session, changes)).revisions)
    if plan_.delete:
        touched |= set((await removal.delete_rows(session, plan_.delete)).revisions)
    targets = set(plan_.create)
    ips = [node["ip"] for node in plan_.nodes if node["id"] in targets]
    created = await insert_proxies(session, id_, after, plan_.create, ips)
    deleted = [removal.deleted_event(row) for row in plan_.delete]
    return touched | targets, [*deleted, *(created_event(id_, row, after) for row in created)]


def settings_after(row: Row, before: Template, after: Template) -> dict[str, Any]:
    """Return a proxy's settings after a change of its template. Raises Invalid when its own settings conflict."""
    try:
        return reapply_template(settings(row), before, after)
    except Invalid as error:
        detail = f"proxy {row['id']} has settings of its own: {error.detail}"
        raise Invalid(detail, {**error.members, "proxy_id": row["id"]}) from error
