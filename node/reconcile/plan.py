"""Plan of a reconciliation: the proxies to stop and to start, so that the running match the wanted ones. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from node.network.exit_requirements import requirement_of
from node.state.local_copy import LocalCopy, StoredProxy
from shared.proxies import ProxyRecord

RETRY_FIRST_S = 0.5
RETRY_MOST_S = 15.0
"""Longest wait between two tries, so that a freed port is used within 30 s, as promised."""
STABLE_S = 30.0
"""A proxy that dies sooner than this after its start counts as failing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FailedStart:
    """A version that did not start or does not stay up. It is tried again at `next_at` (monotonic seconds)."""

    version: int
    reason: str
    tries: int = 1
    next_at: float = 0.0
    port_taken: bool = False
    exit_failed: bool = False
    fallback_failed: bool = False
    """The last good record did not start either. It is tried again only after the newest record."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Running:
    """A proxy that an engine runs `since` a time (monotonic seconds). `port` and `content` are None when unknown.

    A restored database may use a version twice, so the version alone does not identify the record that runs.
    """

    version: int
    engine: str
    content: int | None = None
    port: int | None = None
    since: float = 0.0

    def runs(self, stored: StoredProxy) -> bool:
        """Whether this is the stored record."""
        return (self.version, self.content) == (stored.version, stored.content)


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Proxies to stop first, then records to start in any order; `blocked` ones wait for another proxy's port."""

    stop: tuple[int, ...] = ()
    start: tuple[ProxyRecord, ...] = ()
    blocked: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ObservedState:
    """The running proxies and failed starts, as last known."""

    running: Mapping[int, Running] = field(default_factory=dict[int, Running])
    failed_starts: Mapping[int, FailedStart] = field(default_factory=dict[int, FailedStart])
    now: float = 0.0


def plan(copy: LocalCopy, observed: ObservedState, ids: Collection[int]) -> Plan:
    """Plan stops and starts for these ids. An empty copy stops nothing until its first list has arrived."""
    stop = [id_ for id_ in ids if id_ in observed.running and id_ not in copy.wanted and copy.rev > 0]
    start = [record for id_ in ids if (record := due(copy, observed, id_)) is not None]
    leaving = dict.fromkeys(stop)
    holders = {
        running.port: id_
        for id_, running in observed.running.items()
        if running.port is not None and id_ not in leaving
    }
    blocked = [record for record in start if holders.get(record.port, record.id) != record.id]
    moving = {record.id for record in start}
    cycles = port_cycles(blocked, holders, moving)
    waiting = {record.id for record in blocked if holders[record.port] in moving} - cycles
    return Plan(
        stop=tuple(stop) + tuple(sorted(cycles & observed.running.keys())),
        start=tuple(record for record in start if record.id not in waiting),
        blocked=tuple(sorted(waiting)),
    )


def port_cycles(blocked: list[ProxyRecord], holders: Mapping[int, int], moving: set[int]) -> set[int]:
    """Find ids that wait for each other's ports in a cycle: they must all stop before any of them can move."""
    waits_for = {record.id: holders[record.port] for record in blocked if holders[record.port] in moving}
    cycles: set[int] = set()
    for first in waits_for:
        path: list[int] = []
        at: int | None = first
        while at is not None and at not in path:
            path.append(at)
            at = waits_for.get(at)
        if at is not None:
            cycles.update(path[path.index(at) :])
    return cycles


def due(copy: LocalCopy, observed: ObservedState, id_: int) -> ProxyRecord | None:
    """Return the record to start now for this id: the newest, or the last good one while the newest fails."""
    stored = copy.proxies.get(id_)
    if stored is None or id_ not in copy.wanted:
        return None
    running, failed = observed.running.get(id_), observed.failed_starts.get(id_)
    if stored.record is not None and (running is None or not running.runs(stored)):
        if failed is None or failed.version != stored.version or failed.next_at <= observed.now:
            return stored.record
    elif stored.record is not None:
        return None
    if running is not None or (failed is not None and failed.fallback_failed):
        return None
    return stored.good if stored.good is not stored.record else None


def adopted(stored: StoredProxy | None, version: int, engine: str, now: float) -> Running:
    """Describe a running proxy that this agent did not start: the last good record, if the versions agree."""
    good = stored.good if stored is not None else None
    if good is None or good.version != version:
        return Running(version=version, engine=engine, since=now)
    return Running(version=version, engine=engine, content=good.content, port=good.port, since=now)


def same_exit(running: Running | None, stored: StoredProxy | None, record: ProxyRecord) -> bool:
    """Whether the running record has the same exit as this one, so that replacing it makes nothing worse."""
    good = stored.good if stored is not None else None
    if running is None or good is None or (running.version, running.content) != (good.version, good.content):
        return False
    return requirement_of(good) == requirement_of(record)


def failed_start(
    before: FailedStart | None,
    version: int,
    reason: str,
    now: float,
    *,
    port_taken: bool = False,
    exit_failed: bool = False,
) -> FailedStart:
    """Note one more failed start of this version. Waits double, up to RETRY_MOST_S."""
    tries = before.tries + 1 if before is not None and before.version == version else 1
    return FailedStart(
        version=version,
        reason=reason,
        tries=tries,
        next_at=now + min(RETRY_MOST_S, RETRY_FIRST_S * 2 ** min(tries - 1, 16)),
        port_taken=port_taken,
        exit_failed=exit_failed,
    )


def died(running: Running, before: FailedStart | None, now: float) -> FailedStart | None:
    """Judge a proxy that has ended: None if it was stable before. `before` is its previous failure, if any."""
    if now - running.since >= STABLE_S:
        return None
    if before is None:
        return FailedStart(version=running.version, reason="the proxy ended unexpectedly", next_at=now)
    return failed_start(before, running.version, "the proxy keeps ending unexpectedly", now)
