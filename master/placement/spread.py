"""Chooses the nodes of many proxies at once, or explains why so many do not fit. Pure."""

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
"""By what equals are told apart: the lowest comes next."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SpreadNode:
    """A node that may take some; `own` counts the proxies of the same stack that it has already."""

    node: Candidate
    ip: str
    location_id: int | None
    own: int = 0

    @property
    def room(self) -> int:
        """How many more its limit allows."""
        return self.node.max_proxies - self.node.count

    @property
    def free(self) -> int:
        """Ports of its range that nobody on its ip has."""
        return self.node.port_to - self.node.port_from + 1 - self.node.used

    def shares_ports_with(self, other: "SpreadNode") -> bool:
        """Whether a port that one gives away may be one of the other's; so it is with itself."""
        ranges_meet = self.node.port_from <= other.node.port_to and other.node.port_from <= self.node.port_to
        return self.ip == other.ip and ranges_meet


@dataclass(frozen=True, kw_only=True, slots=True)
class Shortage:
    """Not all fit; one share a node, by id."""

    possible: int
    by_node: tuple[NodeCapacity, ...]


class RemainingRoom:
    """What is left while proxies are given to nodes one by one."""

    def __init__(self, sites: Iterable[SpreadNode]) -> None:
        """Nothing is given yet."""
        self.given: Counter[NodeId] = Counter()
        on_ip: defaultdict[str, list[SpreadNode]] = defaultdict(list)
        for site in sites:
            on_ip[site.ip].append(site)
        self._sharing = {
            site.node.id: [other for other in on_ip[site.ip] if site.shares_ports_with(other)]
            for each in on_ip.values()
            for site in each
        }

    def take(self, site: SpreadNode) -> bool:
        """One more goes there, if it can; once it cannot it never can again.

        Where ranges overlap on one ip, each that has some must find its ports even if all the others' are among them.
        """
        if not self.has_room(site) or not self.has_ports(site):
            return False
        self.given[site.node.id] += 1
        return True

    def has_room(self, site: SpreadNode) -> bool:
        """Whether its limit allows one more."""
        return self.given[site.node.id] < site.room

    def has_ports(self, site: SpreadNode) -> bool:
        """Whether everybody finds ports if it gets one more."""
        holders = (one for one in self._sharing[site.node.id] if one is site or self.given[one.node.id])
        return all(self._asked_of(one) < one.free for one in holders)

    def _asked_of(self, site: SpreadNode) -> int:
        return sum(self.given[other.node.id] for other in self._sharing[site.node.id])


def spread_over(
    sites: Sequence[SpreadNode], demand: Demand, count: int, spread: Spread
) -> tuple[NodeId, ...] | Shortage:
    """The nodes of so many proxies, in the order in which these are made: the latest may go without loss of evenness.

    `nodes`: to the node that has fewest of the stack, then fewest at all. `locations`: to the location that has
    fewest of the stack, and within it as before. `pack`: to a node of the stack's own, then to the fullest, until it
    can take no more. The lowest id comes first among equals.
    """
    able = [site for site in sites if obstacle(site.node, demand) is None]
    rooms = RemainingRoom(able)
    chosen = packed(able, rooms, count) if spread == "pack" else evenly(grouped(able, spread), rooms, count)
    if len(chosen) == count:
        return tuple(chosen)
    shares = [share_of(site, demand, rooms) for site in sorted(sites, key=lambda one: one.node.id)]
    return Shortage(possible=len(chosen), by_node=tuple(shares))


def grouped(sites: Sequence[SpreadNode], spread: Spread) -> list[list[SpreadNode]]:
    """Those among which the groups take turns; nodes without a location are a group of their own."""
    groups: defaultdict[int | None, list[SpreadNode]] = defaultdict(list)
    for site in sites:
        groups[site.location_id if spread == "locations" else None].append(site)
    return list(groups.values())


def evenly(groups: Sequence[Sequence[SpreadNode]], rooms: RemainingRoom, count: int) -> list[NodeId]:
    """One by one, to the group that has fewest, and in it to the node that has fewest."""
    queues = [[(standing_of(site, rooms), site) for site in group] for group in groups]
    turns = [(total_of(group), index) for index, group in enumerate(groups)]
    for queue in queues:
        heapq.heapify(queue)
    heapq.heapify(turns)
    chosen: list[NodeId] = []
    while turns and len(chosen) < count:
        (own, load, id_), index = heapq.heappop(turns)
        node_id = next_of(queues[index], rooms)
        if node_id is not None:
            chosen.append(node_id)
            heapq.heappush(turns, ((own + 1, load + 1, id_), index))
    return chosen


def next_of(queue: list[tuple[SortKey, SpreadNode]], rooms: RemainingRoom) -> NodeId | None:
    """The first that can take one more; whoever cannot leaves the queue."""
    while queue:
        _, site = heapq.heappop(queue)
        if rooms.take(site):
            heapq.heappush(queue, (standing_of(site, rooms), site))
            return site.node.id
    return None


def packed(sites: Sequence[SpreadNode], rooms: RemainingRoom, count: int) -> list[NodeId]:
    """One node after the other."""
    chosen: list[NodeId] = []
    for site in sorted(sites, key=lambda one: (-one.own, -one.node.count, one.node.id)):
        while len(chosen) < count and rooms.take(site):
            chosen.append(site.node.id)
    return chosen


def standing_of(site: SpreadNode, rooms: RemainingRoom) -> SortKey:
    """Of a node among nodes."""
    given = rooms.given[site.node.id]
    return site.own + given, site.node.count + given, site.node.id


def total_of(group: Sequence[SpreadNode]) -> SortKey:
    """Of a group among groups, with nothing given yet."""
    return sum(one.own for one in group), sum(one.node.count for one in group), min(one.node.id for one in group)


def share_of(site: SpreadNode, demand: Demand, rooms: RemainingRoom) -> NodeCapacity:
    """What it could take, and why no more."""
    node, given = site.node, rooms.given[site.node.id]
    hindrance = obstacle(node, demand)
    if hindrance is not None:
        reason = hindrance.reason
    elif not rooms.has_room(site):
        reason = f"then it is full: {node.max_proxies} of {node.max_proxies} proxies"
    else:
        reason = f"then no port of {node.port_from}-{node.port_to} is free"
    return NodeCapacity(node_id=node.id, possible=given, reason=reason)


def per_node(chosen: Iterable[NodeId]) -> Mapping[NodeId, int]:
    """How many each gets, by id."""
    return dict(sorted(Counter(chosen).items()))
