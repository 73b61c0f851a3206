"""The creation of many proxies from one template at once: their nodes, ports and logins."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from master.db.database import Row, Session
from master.domain.proxies.service import lock_placement_among
from master.domain.stacks.template import MERGED, REPLACED, Template, draw_logins
from master.errors import InsufficientCapacity, NodeCapacity, insufficient_capacity
from master.placement.candidates import Candidate, Demand
from master.placement.spread import Shortage, Spread, SpreadNode, counts_by_node, spread_proxies
from shared.proxies import NodeId, ProxyId

SPREAD_COLUMNS = ("ip", "location_id", "own")


@dataclass(frozen=True, kw_only=True, slots=True)
class NewProxies:
    """So many new proxies. `leaving` counts by node those of the stack that are removed in the same transaction."""

    count: int
    template: Template = field(repr=False)
    spread: Spread
    leaving: Mapping[NodeId, int] = field(default_factory=Counter[NodeId])


async def lock_places(session: Session, template: Template) -> list[NodeId]:
    """Lock placement among the nodes on which proxies of this template may be created; return their ids."""
    location_ids, node_ids = template.get("location_ids"), template.get("node_ids")
    return await lock_placement_among(session, location_ids=location_ids, node_ids=node_ids)


async def choose_nodes(
    session: Session, stack_id: int | None, new: NewProxies, places: Sequence[NodeId]
) -> tuple[NodeId, ...]:
    """Choose their nodes among these, for which placement is locked. Raises InsufficientCapacity."""
    if not new.count:
        return ()
    template = new.template
    rows = await session.rows(
        "stacks.select_candidates",
        stack_id=stack_id,
        node_ids=places,
        engine=template["engine"],
        new_count=new.count,
    )
    demand = Demand(engine=template["engine"], exit=template["exit"])
    nodes = [spread_node(row, new.leaving.get(row["id"], 0)) for row in rows]
    chosen = spread_proxies(nodes, demand, new.count, new.spread)
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
) -> list[ProxyId]:
    """Create one proxy on each of these nodes, whose rows are locked; return their ids. Raises InsufficientCapacity."""
    if not chosen:
        return []
    await session.execute("stacks.lock_ips", ips=list(ips))
    ports = await free_ports(session, chosen)
    usernames, passwords = draw_logins(template, len(chosen))
    columns = {name: template[name] for name in (*REPLACED, *MERGED) if name != "rotation"}
    ids = await session.value(
        "stacks.insert_proxies",
        stack_id=stack_id,
        **columns,
        node_ids=list(chosen),
        ports=ports,
        usernames=usernames,
        passwords=passwords,
    )
    if template["rotation"]:
        rotations = [template["rotation"]]
        await session.execute("proxies.set_schedules", ids=ids, numbers=[0] * len(ids), rotations=rotations)
    return ids


async def free_ports(session: Session, chosen: Sequence[NodeId]) -> list[int]:
    """Return a free port for each proxy. Raises InsufficientCapacity when there are fewer than expected."""
    counts = counts_by_node(chosen)
    rows = await session.rows("stacks.lowest_free_ports", node_ids=list(counts), counts=list(counts.values()))
    free = {node_id: list[int]() for node_id in counts} | {row["node_id"]: row["ports"] for row in rows}
    if sum(map(len, free.values())) < len(chosen):
        raise not_all_fit(len(chosen), port_shortage(counts, free))
    ascending = {node_id: iter(ports) for node_id, ports in free.items()}
    return [next(ascending[node_id]) for node_id in chosen]


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
