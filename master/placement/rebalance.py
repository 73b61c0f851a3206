"""Which proxies move to which nodes when a node drains or a location is rebalanced. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from master.placement.candidates import Candidate, Demand, Obstacle, choose_node, obstacle
from shared.proxies import NodeId, ProxyId


@dataclass(frozen=True, kw_only=True, slots=True)
class MovableProxy:
    """A proxy that may move to another node. If it `serves`, clients may be using it, and it moves by rotation."""

    id: ProxyId
    node_id: NodeId
    engine: str
    exit: Mapping[str, Any] = field(default_factory=dict[str, Any])
    serves: bool = True

    @property
    def demand(self) -> Demand:
        """What the proxy needs from a node."""
        return Demand(engine=self.engine, exit=self.exit)


@dataclass(frozen=True, kw_only=True, slots=True)
class RebalanceNode:
    """A node that proxies may move to. `free` is how many more may start there at once."""

    candidate: Candidate
    ip: str
    engines: frozenset[str]
    free: int = 2**31

    def candidate_for(self, demand: Demand) -> Candidate:
        """Return the candidate for a proxy of this demand."""
        return replace(self.candidate, has_engine=demand.engine in self.engines)

    def with_more(self, by: int) -> "RebalanceNode":
        """Return the node with so many more proxies, or fewer."""
        candidate = replace(self.candidate, count=self.candidate.count + by, used=self.candidate.used + by)
        return replace(self, candidate=candidate, free=self.free - max(by, 0))


@dataclass(frozen=True, kw_only=True, slots=True)
class RebalancePlan:
    """The node of each proxy, and why others cannot move. A proxy in neither waits until fewer are starting."""

    placed: Mapping[ProxyId, NodeId]
    refused: Mapping[ProxyId, tuple[Obstacle, ...]]


@dataclass(frozen=True, slots=True)
class Move:
    """A move of a proxy from one node to another."""

    proxy_id: ProxyId
    from_node_id: NodeId
    to_node_id: NodeId
    serves: bool


class ProjectedNodes:
    """The nodes as they will be after the moves planned so far."""

    def __init__(self, nodes: Iterable[RebalanceNode]) -> None:
        self.by_id = {node.candidate.id: node for node in nodes}

    def counts(self) -> dict[NodeId, int]:
        """Return the number of proxies of each node."""
        return {id_: node.candidate.count for id_, node in sorted(self.by_id.items())}

    def choose(self, demand: Demand, *, source: NodeId) -> NodeId | tuple[Obstacle, ...] | None:
        """Return a node for a proxy of `source`, or the obstacles; None when all that could take it are busy now."""
        others = [node for id_, node in self.by_id.items() if id_ != source]
        chosen = choose_node([each.candidate_for(demand) for each in others if each.free > 0], demand)
        if not isinstance(chosen, tuple):
            return chosen
        busy = [each for each in others if each.free <= 0]
        if any(obstacle(each.candidate_for(demand), demand) is None for each in busy):
            return None
        candidates = sorted((each.candidate_for(demand) for each in others), key=lambda one: one.id)
        return tuple(found for each in candidates if (found := obstacle(each, demand)) is not None)

    def add(self, node_id: NodeId) -> None:
        """Add a proxy. Its port may be one less for all nodes of the same ip."""
        ip = self.by_id[node_id].ip
        for id_, each in self.by_id.items():
            if id_ == node_id:
                self.by_id[id_] = each.with_more(1)
            elif each.ip == ip:
                self.by_id[id_] = replace(each, candidate=replace(each.candidate, used=each.candidate.used + 1))

    def remove(self, node_id: NodeId) -> None:
        """Remove a proxy. Its port stays reserved for a while."""
        each = self.by_id[node_id]
        self.by_id[node_id] = replace(each, candidate=replace(each.candidate, count=each.candidate.count - 1))


def assign_nodes(movers: Iterable[MovableProxy], nodes: Iterable[RebalanceNode]) -> RebalancePlan:
    """Give each proxy, one after the other, the least loaded node that can take it."""
    projected = ProjectedNodes(nodes)
    placed: dict[ProxyId, NodeId] = {}
    refused: dict[ProxyId, tuple[Obstacle, ...]] = {}
    known: dict[tuple[NodeId, str, str], tuple[Obstacle, ...]] = {}
    for mover in movers:
        kind = kind_of(mover)
        chosen = known.get(kind) or projected.choose(mover.demand, source=mover.node_id)
        if isinstance(chosen, tuple):
            refused[mover.id] = known[kind] = chosen
        elif chosen is not None:
            placed[mover.id] = chosen
            projected.add(chosen)
    return RebalancePlan(placed=placed, refused=refused)


def kind_of(mover: MovableProxy) -> tuple[NodeId, str, str]:
    """Return what decides where the proxy can move: proxies of one kind have the same choices."""
    return mover.node_id, mover.engine, repr(sorted(mover.exit.items()))


def plan_rebalance(movers: Iterable[MovableProxy], nodes: Iterable[RebalanceNode], *, max_moves: int) -> list[Move]:
    """Return the fewest moves after which no node has two proxies more than another that could take one of them.

    Each move goes from the most loaded node to the least loaded one that can take the proxy, so it never exceeds a
    limit. Proxies that serve nobody move first, then the newest.
    """
    projected, moves = ProjectedNodes(nodes), list[Move]()
    kinds = sorted_kinds(movers)
    stuck, is_fresh = set[NodeId](), True
    while len(moves) < max_moves:
        if found := next_move(projected, kinds, stuck):
            moves.append(found)
            projected.remove(found.from_node_id)
            projected.add(found.to_node_id)
            is_fresh = False
        elif is_fresh:
            break
        else:  # a proxy that fitted nowhere may fit now that others have moved
            stuck, is_fresh = set[NodeId](), True
    return moves


ProxyKinds = Mapping[NodeId, list[list[MovableProxy]]]
"""The proxies of each node that may move, grouped by kind; the next one of a kind comes last."""


def sorted_kinds(movers: Iterable[MovableProxy]) -> ProxyKinds:
    """Group the proxies by node and kind, in an order that depends on the proxies alone."""
    found: defaultdict[NodeId, defaultdict[tuple[NodeId, str, str], list[MovableProxy]]]
    found = defaultdict(lambda: defaultdict(list[MovableProxy]))
    for mover in sorted(movers, key=lambda one: (not one.serves, one.id)):
        found[mover.node_id][kind_of(mover)].append(mover)
    return {node_id: list(kinds.values()) for node_id, kinds in found.items()}


def next_move(projected: ProjectedNodes, kinds: ProxyKinds, stuck: set[NodeId]) -> Move | None:
    """Return a move from the most loaded node possible to the least loaded one possible, or None if none helps.

    Nodes that cannot give up a proxy now are added to `stuck` and skipped.
    """
    by_load = sorted(projected.by_id.values(), key=lambda one: (one.candidate.count, one.candidate.id))
    for source in sorted(by_load, key=lambda one: (-one.candidate.count, one.candidate.id)):
        if source.candidate.id in stuck:
            continue
        for target in by_load:
            if target.candidate.count > source.candidate.count - 2:
                break
            if kind := next_kind(kinds.get(source.candidate.id, []), target):
                mover = kind.pop()
                return Move(mover.id, mover.node_id, target.candidate.id, mover.serves)
        stuck.add(source.candidate.id)
    return None


def next_kind(kinds: Sequence[list[MovableProxy]], target: RebalanceNode) -> list[MovableProxy] | None:
    """Return the kind to move next among the kinds that the target can take."""
    able = [kind for kind in kinds if kind and obstacle(target.candidate_for(kind[-1].demand), kind[-1].demand) is None]
    return max(able, key=lambda kind: (not kind[-1].serves, kind[-1].id), default=None)


def obstacles_text(obstacles: Sequence[Obstacle]) -> str:
    """Explain to a person why a proxy cannot move."""
    reasons = [f"node {one.node_id}: {one.reason}" for one in obstacles[:3]]
    more = [f"and {len(obstacles) - 3} more"] if len(obstacles) > 3 else []
    return (
        f"no other node can take it ({'; '.join([*reasons, *more])})" if reasons else "there is no other node to go to"
    )
