"""Plan and apply a stack change: proxies to delete, update and create."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from master.db.constraints import existing
from master.db.database import Row, Session
from master.domain.events.log import EventBatch
from master.domain.license.service import admit
from master.domain.proxies import removal
from master.domain.proxies.bulk_changes import plan_changes, write_changes
from master.domain.proxies.changes import ChangeRule, check_engines, check_exits
from master.domain.stacks.bulk_creation import NewProxies, choose_nodes, insert_proxies, lock_places
from master.domain.stacks.template import Template, template_rule
from master.errors import invalid_at
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

    delete: Sequence[ProxyId]
    keep: Sequence[ProxyId]
    create: Sequence[NodeId]
    nodes: Sequence[Row]


@dataclass(kw_only=True, slots=True)
class Applied:
    """What a plan has done: the touched nodes, the ids of the proxies that were changed, and the events to record."""

    nodes: set[NodeId] = field(default_factory=set[NodeId])
    changed: list[ProxyId] = field(default_factory=list[ProxyId])
    events: list[EventBatch] = field(default_factory=list[EventBatch])


async def plan_new(session: Session, desired: DesiredStack) -> Plan:
    """Plan a new stack. Raises InsufficientCapacity, LicenseRefused."""
    new = NewProxies(count=desired.count or 0, template=desired.proxy, spread=desired.spread)
    places = await lock_places(session, desired.proxy) if desired.count else []
    await admit(session, "proxies", desired.count or 0)
    chosen = await choose_nodes(session, None, new, places)
    nodes = await session.rows("placement.lock_nodes", ids=sorted(set(chosen)))
    return Plan(delete=(), keep=(), create=chosen, nodes=nodes)


async def plan(session: Session, id_: int, desired: DesiredStack) -> Plan:
    """Plan the change of a stack and lock all affected nodes. Raises Invalid, InsufficientCapacity, LicenseRefused.

    Proxies may be removed, or rotated to another node, while this waits for the locks; then it plans again. Without a
    count nothing is created, so no node is chosen.
    """
    places = await lock_places(session, desired.proxy) if desired.count else []
    while True:
        members = await select_members(session, id_)
        to_delete, count = difference(list(members), desired)
        await admit(session, "proxies", count - len(to_delete))
        leaving = Counter(members[proxy_id] for proxy_id in to_delete)
        new = NewProxies(count=count, template=desired.proxy, spread=desired.spread, leaving=leaving)
        chosen = await choose_nodes(session, id_, new, places)
        present = {row["node_id"] for row in await session.rows("stacks.select_nodes", id=id_)}
        nodes = await session.rows("placement.lock_nodes", ids=sorted(present.union(chosen)))
        if members == await select_members(session, id_):
            keep = [proxy_id for proxy_id in members if proxy_id not in to_delete]
            return Plan(delete=sorted(to_delete), keep=keep, create=chosen, nodes=nodes)


async def select_members(session: Session, id_: int) -> dict[ProxyId, NodeId]:
    """Return the proxies of a stack by id, with the node of each."""
    row = existing(await session.row("proxies.select_of_stack", id=id_), "stack", id_)
    return dict(zip(row["ids"], row["node_ids"], strict=True))


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


async def apply(session: Session, id_: int, plan_: Plan, before: Template, after: Template) -> Applied:
    """Apply a plan; the events are left to the caller. Raises Invalid, EngineMissing, ExitMissing, RotationUnderWay."""
    done = Applied()
    if after != before and plan_.keep:
        await change_members(session, plan_, template_rule(before, after), done)
    if plan_.delete:
        removed = await removal.delete_rows(session, plan_.delete, plan_.nodes)
        done.nodes |= set(removed.counts)
        done.changed += removed.ids
        done.events += removed.events
    if plan_.create:
        targets = set(plan_.create)
        ips = [node["ip"] for node in plan_.nodes if node["id"] in targets]
        created = await insert_proxies(session, id_, after, plan_.create, ips)
        done.nodes |= targets
        done.changed += created
        done.events.append(EventBatch(statement="stacks.insert_created_events", columns={"ids": created}))
    return done


async def change_members(session: Session, plan_: Plan, rule: ChangeRule, done: Applied) -> None:
    """Change the proxies that stay."""
    changes = await plan_changes(session, plan_.keep, rule)
    check_engines(plan_.nodes, changes)
    check_exits(plan_.nodes, changes)
    outcome, events = await write_changes(session, changes, rule)
    done.nodes |= set(outcome.revisions)
    done.changed += outcome.changed
    done.events += events
