"""The removal of proxies, which the nodes' wipe guards must know of."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from master.api.writes.outcomes import WriteOutcome, outcomes_by_node, revisions_of
from master.db.database import Row, Session
from master.domain.events.log import EventBatch, NewEvent, record_events
from shared.proxies import NodeId, ProxyId


@dataclass(frozen=True, kw_only=True, slots=True)
class RemovedProxies:
    """Removed proxies, in rows by node and stack."""

    rows: Sequence[Row]

    @property
    def ids(self) -> tuple[ProxyId, ...]:
        """Return their ids, in order."""
        return tuple(sorted(id_ for row in self.rows for id_ in row["ids"]))

    @property
    def counts(self) -> Counter[NodeId]:
        """Return how many each node had."""
        return Counter(row["node_id"] for row in self.rows for _ in row["ids"])

    @property
    def events(self) -> list[EventBatch]:
        """Return the events of the removal."""
        if not self.rows:
            return []
        columns = {
            "ids": [id_ for row in self.rows for id_ in row["ids"]],
            "names": [name for row in self.rows for name in row["names"]],
            "ports": [port for row in self.rows for port in row["ports"]],
            "node_ids": [row["node_id"] for row in self.rows for _ in row["ids"]],
            "stack_ids": [row["stack_id"] for row in self.rows for _ in row["ids"]],
        }
        return [EventBatch(statement="proxies.insert_deleted_events", columns=columns)]


async def delete(session: Session, ids: Sequence[ProxyId], nodes: Iterable[Row]) -> WriteOutcome:
    """Remove proxies of these locked nodes, which lowers the counts of their stacks."""
    removed = await delete_rows(session, ids, nodes)
    revisions = await revisions_of(session, {*removed.counts})
    await record_events(session, [*removed.events, *await scaled_down_events(session, removed)])
    by_node = outcomes_by_node(removed.counts, removed.counts)
    return WriteOutcome(matched=len(removed.ids), changed=removed.ids, revisions=revisions, by_node=by_node)


async def delete_rows(session: Session, ids: Sequence[ProxyId], nodes: Iterable[Row]) -> RemovedProxies:
    """Remove proxies of these locked nodes without events."""
    removed = RemovedProxies(rows=await session.rows("proxies.delete", ids=ids) if ids else [])
    disabled = {node["id"] for node in nodes if node["state"] == "disabled"}
    counts = Counter[int]()
    for row in removed.rows:
        if row["node_id"] not in disabled:
            counts[row["node_id"]] += row["enabled"]
    await record_removals(session, counts)
    return removed


async def record_removals(session: Session, counts: Mapping[int, int]) -> None:
    """Record how many proxies leave each node on purpose, after the nodes' revisions have been raised."""
    real = {node_id: count for node_id, count in counts.items() if count}
    if real:
        await session.execute("proxies.insert_removals", ids=list(real), counts=list(real.values()))


async def scaled_down_events(session: Session, removed: RemovedProxies) -> list[NewEvent]:
    """Return an event for each stack that these removed proxies belonged to."""
    counts = Counter[int]()
    for row in removed.rows:
        if row["stack_id"] is not None:
            counts[row["stack_id"]] += len(row["ids"])
    stacks = await session.rows("proxies.select_stacks", ids=sorted(counts)) if counts else []
    return [scaled_event(stack, stack["count"] + counts[stack["id"]], stack["count"]) for stack in stacks]


def scaled_event(stack: Row, before: int, count: int) -> NewEvent:
    """Return the event of a changed count."""
    details = {"name": stack["name"], "before": before, "count": count}
    return NewEvent(type="stack.scaled", stack_id=stack["id"], details=details)
