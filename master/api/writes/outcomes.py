"""The outcome of a write of proxies."""

from collections.abc import Mapping
from dataclasses import dataclass

from master.db.database import Session
from shared.proxies import NodeId, ProxyId


@dataclass(frozen=True, kw_only=True, slots=True)
class WriteOutcome:
    """The outcome of a write; `revisions` are those at which the nodes that it concerns have carried it out."""

    matched: int
    changed: tuple[ProxyId, ...]
    revisions: Mapping[NodeId, int]


async def revisions_of(session: Session, node_ids: set[NodeId]) -> dict[NodeId, int]:
    """Read the current revision of each node."""
    rows = await session.rows("outcomes.select_revisions", ids=sorted(node_ids))
    return {row["id"]: row["revision"] for row in rows}
