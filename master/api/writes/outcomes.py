"""The outcome of a write of proxies."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from master.db.database import Session
from shared.proxies import NodeId, ProxyId


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeOutcome:
    """The numbers of proxies of one node that a write was meant for and that it changed."""

    node_id: NodeId
    matched: int
    changed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class WriteOutcome:
    """The outcome of a write; `revisions` are those at which the nodes that it concerns have carried it out."""

    matched: int
    changed: tuple[ProxyId, ...]
    revisions: Mapping[NodeId, int]
    by_node: Sequence[NodeOutcome] = ()


def outcomes_by_node(matched: Counter[NodeId], changed: Counter[NodeId]) -> tuple[NodeOutcome, ...]:
    """Return the outcome of each node by these numbers of proxies, in the order of the nodes' ids."""
    return tuple(NodeOutcome(node_id=id_, matched=matched[id_], changed=changed[id_]) for id_ in sorted(matched))


async def revisions_of(session: Session, node_ids: set[NodeId]) -> dict[NodeId, int]:
    """Read the current revision of each node."""
    rows = await session.rows("outcomes.select_revisions", ids=sorted(node_ids))
    return {row["id"]: row["revision"] for row in rows}
