"""What a node holds of its proxies, and every decision on a message. Pure.

The copy changes only by a Change, which is written to disk before it is taken and before its message is acknowledged.
The rules are those by which a message that is late, doubled, out of order or of a restored database does no harm.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from pydantic import ValidationError

from shared.messages.bodies import Header, Held, SyncItem
from shared.proxies import ProxyRecord, content_digest, pair_hash
from shared.validation_errors import first_error

GUARD_FLOOR = 10
"""A list may always stop this many proxies."""

ListDecision = Literal["taken", "stale", "held"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Holding:
    """The newest record of a proxy that this node took, and `good`, the last one that really ran.

    `rec_rev` is the revision at which the master read the record. `record` is None and `refusal` says why when this
    node cannot read it: then `good` runs on and the version is not asked for again.
    """

    id: int
    version: int
    content: int
    rec_rev: int
    record: ProxyRecord | None = None
    refusal: str = ""
    good: ProxyRecord | None = None
    pair_hash: int = field(default=0, compare=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class CopyChange:
    """What a message does to the copy: nothing but `seen` and `top` unless its verdict is "taken"."""

    verdict: ListDecision
    rev: int
    seen: int
    top: int
    want: Mapping[int, int] = field(default_factory=dict[int, int])
    drop: frozenset[int] = frozenset()
    put: tuple[Holding, ...] = ()
    held: Held | None = None
    ip: str = ""
    """At which clients reach this node; empty: not said."""

    @property
    def touched(self) -> frozenset[int]:
        """Ids whose proxies may have to start, change or stop."""
        return self.drop | {holding.id for holding in self.put}


@dataclass(slots=True)
class LocalCopy:
    """`rev` is the revision of the list acted on, `seen` the highest revision ever seen, `top` the highest version.

    `ip` is the address at which clients reach this node, as the master knows it; empty before it has said so.
    """

    rev: int = 0
    seen: int = 0
    top: int = 0
    wanted: dict[int, int] = field(default_factory=dict[int, int])
    holdings: dict[int, Holding] = field(default_factory=dict[int, Holding])
    held: Held | None = None
    ip: str = ""
    _missing: list[int] | None = field(default=None, compare=False)

    def take(self, change: CopyChange) -> None:
        """Become what the change says."""
        self._missing = None
        self.rev, self.seen, self.top, self.held = change.rev, change.seen, change.top, change.held
        self.ip = change.ip or self.ip
        self.wanted.update(change.want)
        for id_ in change.drop:
            self.wanted.pop(id_, None)
            self.holdings.pop(id_, None)
        for holding in change.put:
            self.holdings[holding.id] = holding

    def become(self, other: "LocalCopy") -> None:
        """Take over what another copy holds, which is used no more."""
        self.rev, self.seen, self.top, self.held = other.rev, other.seen, other.top, other.held
        self.wanted, self.holdings, self.ip, self._missing = other.wanted, other.holdings, other.ip, None

    def forget(self) -> None:
        """Become the empty copy of a node that has seen nothing yet."""
        self.become(LocalCopy())

    def missing(self) -> list[int]:
        """Wanted ids that are not here, or not in the wanted version, in order."""
        if self._missing is None:
            holdings = self.holdings
            self._missing = sorted(
                id_ for id_, version in self.wanted.items() if id_ not in holdings or holdings[id_].version != version
            )
        return self._missing

    def digests(self) -> tuple[str, str]:
        """The digest over (id, version) and the one over the contents of what is held."""
        total = sum(holding.pair_hash or pair_hash(holding.id, holding.version) for holding in self.holdings.values())
        return f"{total % 2**64:016x}", content_digest(holding.content for holding in self.holdings.values())


def on_list(copy: LocalCopy, header: Header, pairs: Iterable[tuple[int, int]]) -> CopyChange:
    """A whole check-sync: stop what it does not name, want what it names; a list older than ours is dropped."""
    if header.rev < copy.rev:
        return CopyChange(verdict="stale", rev=copy.rev, seen=copy.seen, top=copy.top, held=copy.held)
    wanted = dict(pairs)
    seen = max(copy.seen, header.rev)
    top = max(copy.top, max(wanted.values(), default=0))
    drop = frozenset((copy.wanted.keys() | copy.holdings.keys()) - wanted.keys())
    stops = len(drop & copy.holdings.keys())
    confirmed = sum(count for rev, count in header.confirm if rev > copy.rev)
    if guarded(stops, len(copy.holdings), confirmed):
        held = Held(rev=header.rev, stops=stops, of=len(copy.holdings))
        return CopyChange(verdict="held", rev=copy.rev, seen=seen, top=copy.top, held=held, ip=header.ip)
    want = {id_: version for id_, version in wanted.items() if copy.wanted.get(id_) != version}
    return CopyChange(verdict="taken", rev=header.rev, seen=seen, top=top, want=want, drop=drop, ip=header.ip)


def guarded(stops: int, holdings: int, confirmed: int) -> bool:
    """The wipe guard: more than ten, and more than half of what was not removed on purpose, would stop."""
    unaccounted = stops - confirmed
    return unaccounted > GUARD_FLOOR and unaccounted * 2 > holdings - confirmed


def on_records(copy: LocalCopy, header: Header, items: Iterable[SyncItem]) -> CopyChange:
    """A sync: take every record that is wanted and not older than what is held."""
    put = {
        item.id: hold(item, header.rev, copy.holdings.get(item.id))
        for item in items
        if is_acceptable(copy, header.rev, item)
    }
    return CopyChange(
        verdict="taken" if put else "stale",
        rev=copy.rev,
        seen=max(copy.seen, header.rev),
        top=max(copy.top, max((holding.version for holding in put.values()), default=0)),
        put=tuple(put.values()),
        held=copy.held,
    )


def is_acceptable(copy: LocalCopy, rev: int, item: SyncItem) -> bool:
    """Whether this record, read at this revision, may replace what is held.

    One read at our revision or later is the newest there is, unless we hold one read later still (a restored database
    may bring a lower version, and that is right). One read before is good only for what we want and lack. Another
    content under the version that we hold is of a past that was taken back: engines tell records apart by versions
    alone, so it waits for the new version that the master gives it once a report tells what we have.
    """
    if item.id not in copy.wanted:
        return False
    holding = copy.holdings.get(item.id)
    if holding is not None and holding.version == item.version and holding.content != item.content:
        return False
    if rev >= copy.rev:
        return holding is None or rev >= holding.rec_rev
    return item.version == copy.wanted[item.id] and (holding is None or item.version > holding.version)


def hold(item: SyncItem, rev: int, before: Holding | None) -> Holding:
    """The holding of this record; a record that cannot be read is held as refused."""
    record, refusal = None, ""
    try:
        record = ProxyRecord.model_validate(item.raw, strict=False)
    except ValidationError as error:
        refusal = f"this node cannot read the record: {first_error(error)}"
    return Holding(
        id=item.id,
        version=item.version,
        content=item.content,
        rec_rev=rev,
        record=record,
        refusal=refusal[:300],
        good=before.good if before is not None else None,
        pair_hash=pair_hash(item.id, item.version),
    )
