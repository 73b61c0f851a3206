"""What to stop and what to start so that what runs becomes what is wanted. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from node.network.exit_requirements import need_of
from node.state.local_copy import Holding, LocalCopy
from shared.proxies import ProxyRecord

RETRY_FIRST_S = 0.5
RETRY_MOST_S = 15.0
"""A freed port is found within this time; the promise is 30 s."""
STABLE_S = 30.0
"""A proxy that dies sooner than this after its start counts as failing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """A version that did not start, or does not stay up; `next_at` (monotonic seconds) is when it is tried again."""

    version: int
    reason: str
    tries: int = 1
    next_at: float = 0.0
    port_taken: bool = False
    exit_failed: bool = False
    fallback_failed: bool = False
    """The last good record did not start either; it is not tried again before the newest is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Running:
    """A proxy that an engine says it runs, `since` when (monotonic seconds); port and contents as far as we know them.

    A restored database may use a version twice, so that the version alone does not tell what runs.
    """

    version: int
    engine: str
    content: int | None = None
    port: int | None = None
    since: float = 0.0

    def runs(self, holding: Holding) -> bool:
        """Whether this is the held record."""
        return (self.version, self.content) == (holding.version, holding.content)


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Stops come first; starts then in any order. `blocked` wait for a port that another of ours will leave."""

    stop: tuple[int, ...] = ()
    start: tuple[ProxyRecord, ...] = ()
    blocked: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """What is, as far as we know."""

    running: Mapping[int, Running] = field(default_factory=dict[int, Running])
    troubles: Mapping[int, Trouble] = field(default_factory=dict[int, Trouble])
    now: float = 0.0


def plan(copy: LocalCopy, world: World, ids: Collection[int]) -> Plan:
    """What these ids need. Nothing is stopped before a first list has come: an empty copy knows nothing."""
    stop = [id_ for id_ in ids if id_ in world.running and id_ not in copy.wanted and copy.rev > 0]
    start = [record for id_ in ids if (record := due(copy, world, id_)) is not None]
    leaving = dict.fromkeys(stop)
    holders = {
        running.port: id_ for id_, running in world.running.items() if running.port is not None and id_ not in leaving
    }
    blocked = [record for record in start if holders.get(record.port, record.id) != record.id]
    moving = {record.id for record in start}
    circle = in_a_circle(blocked, holders, moving)
    waiting = {record.id for record in blocked if holders[record.port] in moving} - circle
    return Plan(
        stop=tuple(stop) + tuple(sorted(circle & world.running.keys())),
        start=tuple(record for record in start if record.id not in waiting),
        blocked=tuple(sorted(waiting)),
    )


def in_a_circle(blocked: list[ProxyRecord], holders: Mapping[int, int], moving: set[int]) -> set[int]:
    """Ids that wait for each other's ports all round: only by stopping them can any of them move."""
    waits_for = {record.id: holders[record.port] for record in blocked if holders[record.port] in moving}
    circle: set[int] = set()
    for first in waits_for:
        path: list[int] = []
        at: int | None = first
        while at is not None and at not in path:
            path.append(at)
            at = waits_for.get(at)
        if at is not None:
            circle.update(path[path.index(at) :])
    return circle


def due(copy: LocalCopy, world: World, id_: int) -> ProxyRecord | None:
    """The record that should be started now for this id: the newest, or the last good one while the newest fails."""
    holding = copy.holdings.get(id_)
    if holding is None or id_ not in copy.wanted:
        return None
    running, trouble = world.running.get(id_), world.troubles.get(id_)
    if holding.record is not None and (running is None or not running.runs(holding)):
        if trouble is None or trouble.version != holding.version or trouble.next_at <= world.now:
            return holding.record
    elif holding.record is not None:
        return None
    if running is not None or (trouble is not None and trouble.fallback_failed):
        return None
    return holding.good if holding.good is not holding.record else None


def adopted(holding: Holding | None, version: int, engine: str, now: float) -> Running:
    """What to believe of a proxy that an engine runs and this agent did not start: it is the record that was last seen
    running, if the versions agree."""
    good = holding.good if holding is not None else None
    if good is None or good.version != version:
        return Running(version=version, engine=engine, since=now)
    return Running(version=version, engine=engine, content=good.content, port=good.port, since=now)


def leaves_alike(running: Running | None, holding: Holding | None, record: ProxyRecord) -> bool:
    """Whether what runs leaves by the same exit as this record, which then makes nothing worse in its place."""
    good = holding.good if holding is not None else None
    if running is None or good is None or (running.version, running.content) != (good.version, good.content):
        return False
    return need_of(good) == need_of(record)


def troubled(
    before: Trouble | None,
    version: int,
    reason: str,
    now: float,
    *,
    port_taken: bool = False,
    exit_failed: bool = False,
) -> Trouble:
    """One more failure of this version; each wait is twice the last, up to RETRY_MOST_S."""
    tries = before.tries + 1 if before is not None and before.version == version else 1
    return Trouble(
        version=version,
        reason=reason,
        tries=tries,
        next_at=now + min(RETRY_MOST_S, RETRY_FIRST_S * 2 ** min(tries - 1, 16)),
        port_taken=port_taken,
        exit_failed=exit_failed,
    )


def died(running: Running, before: Trouble | None, now: float) -> Trouble | None:
    """What to think of a proxy that ran and is gone: None when it was stable; `before` is what it had last time."""
    if now - running.since >= STABLE_S:
        return None
    if before is None:
        return Trouble(version=running.version, reason="it ended by itself", next_at=now)
    return troubled(before, running.version, "it keeps ending by itself", now)
