"""Making many proxies of one template at once: their nodes, ports and logins."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from master.db.database import Row, Session
from master.domain.events.log import NewEvent
from master.domain.stacks.template import Template, first, login
from master.errors import InsufficientCapacity, NodeCapacity, insufficient_capacity
from master.placement.candidates import Candidate, Demand
from master.placement.spread import Shortage, Spread, SpreadNode, per_node, spread_over
from shared.proxies import NodeId

OF_SITE = ("ip", "location_id", "own")


@dataclass(frozen=True, kw_only=True, slots=True)
class NewProxies:
    """So many more; `leaving` are proxies of the stack that will have gone by then."""

    count: int
    template: Template = field(repr=False)
    spread: Spread
    leaving: Sequence[Row] = ()


async def choose(session: Session, stack_id: int | None, wanted: NewProxies) -> tuple[NodeId, ...]:
    """Their nodes; nobody else chooses meanwhile (lock_placement). Raises InsufficientCapacity."""
    if not wanted.count:
        return ()
    template = wanted.template
    rows = await session.rows(
        "stacks.select_candidates",
        stack_id=stack_id,
        location_ids=template.get("location_ids"),
        node_ids=template.get("node_ids"),
        engine=template["engine"],
        wanted=wanted.count,
    )
    demand = Demand(engine=template["engine"], exit=template["exit"])
    left = Counter(row["node_id"] for row in wanted.leaving)
    chosen = spread_over([site_of(row, left[row["id"]]) for row in rows], demand, wanted.count, wanted.spread)
    if isinstance(chosen, Shortage):
        raise too_few(wanted.count, chosen)
    return chosen


def site_of(row: Row, left: int) -> SpreadNode:
    """Out of a row of candidates, when so many of the stack's proxies have left it."""
    node = Candidate(**{name: value for name, value in row.items() if name not in OF_SITE})
    node = replace(node, count=node.count - left, used=max(0, node.used - left))
    return SpreadNode(node=node, ip=row["ip"], location_id=row["location_id"], own=row["own"] - left)


async def make(
    session: Session, stack_id: int, template: Template, chosen: Sequence[NodeId], ips: Sequence[str]
) -> list[Row]:
    """Create one proxy on each of these nodes, whose rows are locked; return rows of id, node_id and port.

    Raises InsufficientCapacity.
    """
    if not chosen:
        return []
    await session.execute("stacks.lock_ips", ips=list(ips))
    ports = await free_ports(session, chosen)
    logins = [login(template) for _ in chosen]
    settings = {name: value for name, value in first(template).items() if name not in ("username", "password")}
    rotation = settings.pop("rotation")
    made = await session.rows(
        "stacks.insert_proxies",
        stack_id=stack_id,
        **settings,
        node_ids=list(chosen),
        ports=ports,
        usernames=[username for username, _ in logins],
        passwords=[password for _, password in logins],
    )
    if rotation:
        rows = [{"id": row["id"], "rotation": rotation} for row in made]
        await session.execute("proxies.set_schedules", rows=rows)
    return made


async def free_ports(session: Session, chosen: Sequence[NodeId]) -> list[int]:
    """A port for each. Raises InsufficientCapacity when there are fewer than seemed."""
    counts = per_node(chosen)
    rows = await session.rows("stacks.lowest_free_ports", node_ids=list(counts), counts=list(counts.values()))
    free: defaultdict[NodeId, list[int]] = defaultdict(list)
    for row in reversed(rows):
        free[row["node_id"]].append(row["port"])
    if len(rows) < len(chosen):
        raise too_few(len(chosen), lacking_ports(counts, free))
    return [free[node_id].pop() for node_id in chosen]


def lacking_ports(counts: Mapping[NodeId, int], free: Mapping[NodeId, Sequence[int]]) -> Shortage:
    """Somebody has taken some in the last moment, or a stranger has some on one of several nodes of an ip."""
    shares = [
        NodeCapacity(node_id=node_id, possible=len(free[node_id]), reason="then no port of its range is free")
        for node_id, count in counts.items()
        if len(free[node_id]) < count
    ]
    return Shortage(possible=sum(len(ports) for ports in free.values()), by_node=tuple(shares))


def too_few(wanted: int, shortage: Shortage) -> InsufficientCapacity:
    """All or none: say what would fit."""
    detail = f"only {shortage.possible} of {wanted} proxies fit"
    return insufficient_capacity(detail, wanted=wanted, possible=shortage.possible, by_node=shortage.by_node)


def created(stack_id: int, row: Row, template: Template) -> NewEvent:
    """The event of one that was made."""
    details = {"port": row["port"], "protocol": template["protocol"], "version": 1}
    subjects = {"proxy_id": row["id"], "node_id": row["node_id"], "stack_id": stack_id}
    return NewEvent(type="proxy.created", **subjects, details=details)
