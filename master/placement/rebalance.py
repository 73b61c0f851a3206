"""Which proxies go to which nodes when a node is emptied or a location is balanced. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from master.placement.candidates import Candidate, Demand, Obstacle, obstacle, place
from shared.proxies import NodeId, ProxyId


@dataclass(frozen=True, kw_only=True, slots=True)
class Mover:
    """A proxy that may go to another node. `serves`: somebody may be using it, so it is not to be cut."""

    id: ProxyId
    node_id: NodeId
    engine: str
    exit: Mapping[str, Any] = field(default_factory=dict[str, Any])
    serves: bool = True

    @property
    def demand(self) -> Demand:
        """What it needs of a node."""
        return Demand(engine=self.engine, exit=self.exit)


@dataclass(frozen=True, kw_only=True, slots=True)
class RebalanceNode:
    """A node that proxies may come to, as `place` sees it; `free` is how many more may be started there at once."""

    candidate: Candidate
    ip: str
    engines: frozenset[str]
    free: int = 2**31

    def seen_by(self, demand: Demand) -> Candidate:
        """The candidate for this proxy."""
        return replace(self.candidate, has_engine=demand.engine in self.engines)

    def loaded(self, by: int) -> "RebalanceNode":
        """After so many more proxies (or fewer)."""
        candidate = replace(self.candidate, count=self.candidate.count + by, used=self.candidate.used + by)
        return replace(self, candidate=candidate, free=self.free - max(by, 0))


@dataclass(frozen=True, kw_only=True, slots=True)
class RebalancePlan:
    """Where each goes, and why the others cannot; those in neither wait until fewer are being started."""

    placed: Mapping[ProxyId, NodeId]
    refused: Mapping[ProxyId, tuple[Obstacle, ...]]


@dataclass(frozen=True, slots=True)
class Move:
    """A proxy that shall go from one node to another."""

    proxy_id: ProxyId
    from_node_id: NodeId
    to_node_id: NodeId
    serves: bool


class NodesAfter:
    """The nodes as they will be while one proxy after the other is given its place."""

    def __init__(self, places: Iterable[RebalanceNode]) -> None:
        """By their ids."""
        self.by_id = {place.candidate.id: place for place in places}

    def counts(self) -> dict[NodeId, int]:
        """How many proxies each has."""
        return {id_: place.candidate.count for id_, place in sorted(self.by_id.items())}

    def choose(self, demand: Demand, *, without: NodeId) -> NodeId | tuple[Obstacle, ...] | None:
        """Where this one goes, or why nowhere; None: later, for there are too many on their way to where it could."""
        others = [place for id_, place in self.by_id.items() if id_ != without]
        chosen = place([each.seen_by(demand) for each in others if each.free > 0], demand)
        if not isinstance(chosen, tuple):
            return chosen
        busy = [each for each in others if each.free <= 0]
        if any(obstacle(each.seen_by(demand), demand) is None for each in busy):
            return None
        seen = sorted((each.seen_by(demand) for each in others), key=lambda one: one.id)
        return tuple(found for each in seen if (found := obstacle(each, demand)) is not None)

    def take(self, node_id: NodeId) -> None:
        """One more proxy there. A port of its ip may be one less for all that share it."""
        ip = self.by_id[node_id].ip
        for id_, each in self.by_id.items():
            if id_ == node_id:
                self.by_id[id_] = each.loaded(1)
            elif each.ip == ip:
                self.by_id[id_] = replace(each, candidate=replace(each.candidate, used=each.candidate.used + 1))

    def give(self, node_id: NodeId) -> None:
        """One proxy less there; its port is given to nobody for a while."""
        each = self.by_id[node_id]
        self.by_id[node_id] = replace(each, candidate=replace(each.candidate, count=each.candidate.count - 1))


def spread(movers: Iterable[Mover], places: Iterable[RebalanceNode]) -> RebalancePlan:
    """Each goes to the least loaded node that can take it, one after the other."""
    there = NodesAfter(places)
    placed: dict[ProxyId, NodeId] = {}
    refused: dict[ProxyId, tuple[Obstacle, ...]] = {}
    known: dict[tuple[NodeId, str, str], tuple[Obstacle, ...]] = {}
    for mover in movers:
        kind = kind_of(mover)
        chosen = known.get(kind) or there.choose(mover.demand, without=mover.node_id)
        if isinstance(chosen, tuple):
            refused[mover.id] = known[kind] = chosen
        elif chosen is not None:
            placed[mover.id] = chosen
            there.take(chosen)
    return RebalancePlan(placed=placed, refused=refused)


def kind_of(mover: Mover) -> tuple[NodeId, str, str]:
    """Proxies of one kind have the same places to go to."""
    return mover.node_id, mover.engine, repr(sorted(mover.exit.items()))


def balanced(movers: Iterable[Mover], places: Iterable[RebalanceNode], *, most: int) -> list[Move]:
    """The fewest moves after which no node has two proxies more than another that could take one of them.

    From the most loaded to the least loaded, one at a time: each move brings two nodes nearer to each other and none
    above what it may have. What nobody uses goes first, then what was made last.
    """
    there, moves = NodesAfter(places), list[Move]()
    kinds = sorted_kinds(movers)
    stuck, is_fresh = set[NodeId](), True
    while len(moves) < most:
        if found := next_move(there, kinds, stuck):
            moves.append(found)
            there.give(found.from_node_id)
            there.take(found.to_node_id)
            is_fresh = False
        elif is_fresh:
            break
        else:  # what could not leave a node before may fit now that others have moved
            stuck, is_fresh = set[NodeId](), True
    return moves


Kinds = Mapping[NodeId, list[list[Mover]]]
"""Of each node the proxies that may go, by kind, the next one last."""


def sorted_kinds(movers: Iterable[Mover]) -> Kinds:
    """In an order that depends on nothing but the proxies themselves."""
    found: defaultdict[NodeId, defaultdict[tuple[NodeId, str, str], list[Mover]]]
    found = defaultdict(lambda: defaultdict(list[Mover]))
    for mover in sorted(movers, key=lambda one: (not one.serves, one.id)):
        found[mover.node_id][kind_of(mover)].append(mover)
    return {node_id: list(kinds.values()) for node_id, kinds in found.items()}


def next_move(there: NodesAfter, kinds: Kinds, stuck: set[NodeId]) -> Move | None:
    """The one from the most loaded node that can give to the least loaded that can take; None when nothing is gained.

    Nodes that have nothing to give, as it is now, become stuck and are passed over.
    """
    by_load = sorted(there.by_id.values(), key=lambda one: (one.candidate.count, one.candidate.id))
    for source in sorted(by_load, key=lambda one: (-one.candidate.count, one.candidate.id)):
        if source.candidate.id in stuck:
            continue
        for target in by_load:
            if target.candidate.count > source.candidate.count - 2:
                break
            if kind := movable(kinds.get(source.candidate.id, []), target):
                mover = kind.pop()
                return Move(mover.id, mover.node_id, target.candidate.id, mover.serves)
        stuck.add(source.candidate.id)
    return None


def movable(kinds: Sequence[list[Mover]], target: RebalanceNode) -> list[Mover] | None:
    """Of the proxies that this node can take those of the kind whose turn it is."""
    able = [kind for kind in kinds if kind and obstacle(target.seen_by(kind[-1].demand), kind[-1].demand) is None]
    return max(able, key=lambda kind: (not kind[-1].serves, kind[-1].id), default=None)


def said(obstacles: Sequence[Obstacle]) -> str:
    """Why a proxy has no place to go to, for a person."""
    told = [f"node {one.node_id}: {one.reason}" for one in obstacles[:3]]
    more = [f"and {len(obstacles) - 3} more"] if len(obstacles) > 3 else []
    return f"no other node can take it ({'; '.join([*told, *more])})" if told else "there is no other node to go to"
