"""The choice of nodes for many new proxies at once, or why so many do not fit. Pure."""

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from master.errors import NodeCapacity
from master.placement.candidates import Candidate, Demand, obstacle
from shared.proxies import NodeId

Spread = Literal["nodes", "locations", "pack"]

SortKey = tuple[int, int, int]
"""The lowest comes next: proxies of the stack, proxies at all, id."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SpreadNode:
    """A node that may get some of the proxies. `own` counts the proxies of the same stack that it has."""

    candidate: Candidate
    ip: str
    location_id: int | None
    own: int = 0

    @property
    def headroom(self) -> int:
        """How many more proxies the limit of the node allows."""
        return self.candidate.max_proxies - self.candidate.count

    @property
    def free(self) -> int:
        """The number of ports of the range that are free on the ip."""
        return self.candidate.port_to - self.candidate.port_from + 1 - self.candidate.used

    def shares_ports_with(self, other: "SpreadNode") -> bool:
        """Return whether the two ranges overlap on one ip. A node shares ports with itself."""
        own, its = self.candidate, other.candidate
        return self.ip == other.ip and own.port_from <= its.port_to and its.port_from <= own.port_to


@dataclass(frozen=True, kw_only=True, slots=True)
class Shortage:
    """Too little capacity: how many proxies fit, and the capacity of each node in id order."""

    possible: int
    by_node: tuple[NodeCapacity, ...]


class RemainingCapacity:
    """The capacity that is left while proxies are given to nodes one by one."""

    def __init__(self, nodes: Iterable[SpreadNode]) -> None:
        self.given: Counter[NodeId] = Counter()
        on_ip: defaultdict[str, list[SpreadNode]] = defaultdict(list)
        for node in nodes:
            on_ip[node.ip].append(node)
        self._sharing = {
            node.candidate.id: [other for other in on_ip[node.ip] if node.shares_ports_with(other)]
            for each in on_ip.values()
            for node in each
        }

    def take(self, node: SpreadNode) -> bool:
        """Give the node one more proxy if it can take it. A node that cannot will never be able to again.

        Where ranges overlap on one ip, each node must find its ports even if all ports of the others lie in its range.
        """
        if not self.has_headroom(node) or not self.has_ports(node):
            return False
        self.given[node.candidate.id] += 1
        return True

    def has_headroom(self, node: SpreadNode) -> bool:
        """Return whether the limit of the node allows one more."""
        return self.given[node.candidate.id] < node.headroom

    def has_ports(self, node: SpreadNode) -> bool:
        """Return whether every node finds its ports if this one gets one more."""
        holders = (one for one in self._sharing[node.candidate.id] if one is node or self.given[one.candidate.id])
        return all(self._demand_on(one) < one.free for one in holders)

    def _demand_on(self, node: SpreadNode) -> int:
        return sum(self.given[other.candidate.id] for other in self._sharing[node.candidate.id])


def spread_proxies(
    nodes: Sequence[SpreadNode], demand: Demand, count: int, spread: Spread
) -> tuple[NodeId, ...] | Shortage:
    """Return the nodes of `count` proxies in the order of their creation: removing the newest keeps the spread even.

    `nodes`: the node with the fewest proxies of the stack, then the fewest proxies at all. `locations`: the location
    with the fewest proxies of the stack, and within it as for `nodes`. `pack`: a node of the stack, then the fullest
    node, until it can take no more. The lowest id comes first among equals.
    """
    able = [node for node in nodes if obstacle(node.candidate, demand) is None]
    capacity = RemainingCapacity(able)
    chosen = (
        pack(able, capacity, count) if spread == "pack" else spread_evenly(group_nodes(able, spread), capacity, count)
    )
    if len(chosen) == count:
        return tuple(chosen)
    shares = [capacity_of(node, demand, capacity) for node in sorted(nodes, key=lambda one: one.candidate.id)]
    return Shortage(possible=len(chosen), by_node=tuple(shares))


def group_nodes(nodes: Sequence[SpreadNode], spread: Spread) -> list[list[SpreadNode]]:
    """Group the nodes between which proxies alternate. Nodes without a location are one group."""
    groups: defaultdict[int | None, list[SpreadNode]] = defaultdict(list)
    for node in nodes:
        groups[node.location_id if spread == "locations" else None].append(node)
    return list(groups.values())


def spread_evenly(groups: Sequence[Sequence[SpreadNode]], capacity: RemainingCapacity, count: int) -> list[NodeId]:
    """Choose one node after the other: the group with the fewest proxies, and in it the node with the fewest."""
    queues = [[(sort_key(node, capacity), node) for node in group] for group in groups]
    turns = [(group_sort_key(group), index) for index, group in enumerate(groups)]
    for queue in queues:
        heapq.heapify(queue)
    heapq.heapify(turns)
    chosen: list[NodeId] = []
    while turns and len(chosen) < count:
        (own, load, id_), index = heapq.heappop(turns)
        node_id = next_node(queues[index], capacity)
        if node_id is not None:
            chosen.append(node_id)
            heapq.heappush(turns, ((own + 1, load + 1, id_), index))
    return chosen


def next_node(queue: list[tuple[SortKey, SpreadNode]], capacity: RemainingCapacity) -> NodeId | None:
    """Take the first node of the queue that can get one more. Nodes that cannot are dropped from the queue."""
    while queue:
        _, node = heapq.heappop(queue)
        if capacity.take(node):
            heapq.heappush(queue, (sort_key(node, capacity), node))
            return node.candidate.id
    return None


def pack(nodes: Sequence[SpreadNode], capacity: RemainingCapacity, count: int) -> list[NodeId]:
    """Fill one node after the other."""
    chosen: list[NodeId] = []
    for node in sorted(nodes, key=lambda one: (-one.own, -one.candidate.count, one.candidate.id)):
        while len(chosen) < count and capacity.take(node):
            chosen.append(node.candidate.id)
    return chosen


def sort_key(node: SpreadNode, capacity: RemainingCapacity) -> SortKey:
    """Return the rank of a node among the nodes of its group."""
    given = capacity.given[node.candidate.id]
    return node.own + given, node.candidate.count + given, node.candidate.id


def group_sort_key(group: Sequence[SpreadNode]) -> SortKey:
    """Return the rank of a group before any proxy is given."""
    candidates = [one.candidate for one in group]
    return sum(one.own for one in group), sum(one.count for one in candidates), min(one.id for one in candidates)


def capacity_of(node: SpreadNode, demand: Demand, capacity: RemainingCapacity) -> NodeCapacity:
    """Return how many proxies the node could take, and why no more."""
    candidate = node.candidate
    found = obstacle(candidate, demand)
    if found is not None:
        reason = found.reason
    elif not capacity.has_headroom(node):
        reason = f"then it is full: {candidate.max_proxies} of {candidate.max_proxies} proxies"
    else:
        reason = f"then no port of {candidate.port_from}-{candidate.port_to} is free"
    return NodeCapacity(node_id=candidate.id, possible=capacity.given[candidate.id], reason=reason)


def counts_by_node(chosen: Iterable[NodeId]) -> Mapping[NodeId, int]:
    """Count the proxies of each node, in id order."""
    return dict(sorted(Counter(chosen).items()))
