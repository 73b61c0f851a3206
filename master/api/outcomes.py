"""What a write of proxies did."""

from collections.abc import Mapping
from dataclasses import dataclass

from master.db.database import Session
from shared.proxies import NodeId, ProxyId


@dataclass(frozen=True, kw_only=True, slots=True)
class WriteOutcome:
    """What a write did; `revisions` are those of the touched nodes that carry it."""

    matched: int
    changed: tuple[ProxyId, ...]
    revisions: Mapping[NodeId, int]


async def revisions_of(session: Session, node_ids: set[NodeId]) -> dict[NodeId, int]:
    """The present revision of each."""
    rows = await session.rows("outcomes.select_revisions", ids=sorted(node_ids))
    return {row["id"]: row["revision"] for row in rows}
