"""The creation of many proxies from one template at once: their nodes, ports and logins."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from master.db.database import Row, Session
from master.domain.events.log import NewEvent
from master.domain.stacks.template import Template, draw_login, proxy_settings
from master.errors import InsufficientCapacity, NodeCapacity, insufficient_capacity
from master.placement.candidates import Candidate, Demand
from master.placement.spread import Shortage, Spread, SpreadNode, counts_by_node, spread_proxies
from shared.proxies import NodeId

SPREAD_COLUMNS = ("ip", "location_id", "own")


@dataclass(frozen=True, kw_only=True, slots=True)
class NewProxies:
    """So many new proxies. `leaving` are proxies of the stack that are removed in the same transaction."""

    count: int
    template: Template = field(repr=False)
    spread: Spread
    leaving: Sequence[Row] = ()


async def choose_nodes(session: Session, stack_id: int | None, new: NewProxies) -> tuple[NodeId, ...]:
    """Choose their nodes; placement is locked. Raises InsufficientCapacity."""
    if not new.count:
        return ()
    template = new.template
    rows = await session.rows(
        "stacks.select_candidates",
        stack_id=stack_id,
        location_ids=template.get("location_ids"),
        node_ids=template.get("node_ids"),
        engine=template["engine"],
        new_count=new.count,
    )
    demand = Demand(engine=template["engine"], exit=template["exit"])
    left = Counter(row["node_id"] for row in new.leaving)
    chosen = spread_proxies([spread_node(row, left[row["id"]]) for row in rows], demand, new.count, new.spread)
    if isinstance(chosen, Shortage):
        raise not_all_fit(new.count, chosen)
    return chosen


def spread_node(row: Row, left: int) -> SpreadNode:
    """Build a node from a row of candidates, without the proxies of the stack that leave it."""
    node = Candidate(**{name: value for name, value in row.items() if name not in SPREAD_COLUMNS})
    node = replace(node, count=node.count - left, used=max(0, node.used - left))
    return SpreadNode(candidate=node, ip=row["ip"], location_id=row["location_id"], own=row["own"] - left)


async def insert_proxies(
    session: Session, stack_id: int, template: Template, chosen: Sequence[NodeId], ips: Sequence[str]
) -> list[Row]:
    """Create one proxy on each of these nodes, whose rows are locked; return rows of id, node_id and port.

    Raises InsufficientCapacity.
    """
    if not chosen:
        return []
    await session.execute("stacks.lock_ips", ips=list(ips))
    ports = await free_ports(session, chosen)
    logins = [draw_login(template) for _ in chosen]
    settings = {name: value for name, value in proxy_settings(template).items() if name not in ("username", "password")}
    rotation = settings.pop("rotation")
    created = await session.rows(
        "stacks.insert_proxies",
        stack_id=stack_id,
        **settings,
        node_ids=list(chosen),
        ports=ports,
        usernames=[username for username, _ in logins],
        passwords=[password for _, password in logins],
    )
    if rotation:
        rows = [{"id": row["id"], "rotation": rotation} for row in created]
        await session.execute("proxies.set_schedules", rows=rows)
    return created


async def free_ports(session: Session, chosen: Sequence[NodeId]) -> list[int]:
    """Return a free port for each proxy. Raises InsufficientCapacity when there are fewer than expected."""
    counts = counts_by_node(chosen)
    rows = await session.rows("stacks.lowest_free_ports", node_ids=list(counts), counts=list(counts.values()))
    free: defaultdict[NodeId, list[int]] = defaultdict(list)
    for row in reversed(rows):
        free[row["node_id"]].append(row["port"])
    if len(rows) < len(chosen):
        raise not_all_fit(len(chosen), port_shortage(counts, free))
    return [free[node_id].pop() for node_id in chosen]


def port_shortage(counts: Mapping[NodeId, int], free: Mapping[NodeId, Sequence[int]]) -> Shortage:
    """Return the shortage when fewer ports are free than expected, because other programs have taken some."""
    shares = [
        NodeCapacity(node_id=node_id, possible=len(free[node_id]), reason="then no port of its range is free")
        for node_id, count in counts.items()
        if len(free[node_id]) < count
    ]
    return Shortage(possible=sum(len(ports) for ports in free.values()), by_node=tuple(shares))


def not_all_fit(requested: int, shortage: Shortage) -> InsufficientCapacity:
    """Return the conflict when not all proxies fit, so that none is created."""
    detail = f"only {shortage.possible} of {requested} proxies fit"
    return insufficient_capacity(detail, requested=requested, possible=shortage.possible, by_node=shortage.by_node)


def created_event(stack_id: int, row: Row, template: Template) -> NewEvent:
    """Return the event of a new proxy."""
    details = {"port": row["port"], "protocol": template["protocol"], "version": 1}
    subjects = {"proxy_id": row["id"], "node_id": row["node_id"], "stack_id": stack_id}
    return NewEvent(type="proxy.created", **subjects, details=details)
