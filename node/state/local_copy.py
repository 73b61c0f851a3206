"""Local copy of the node's proxies, and the decisions on messages of the master. Pure.

A `CopyChange` is written to disk before the copy takes it and before its message is acknowledged. The rules make
messages harmless that are late, doubled, out of order or from a restored database.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from pydantic import ValidationError

from shared.messages.bodies import Header, Held, SyncItem
from shared.proxies import ProxyRecord, content_digest, pair_hash
from shared.validation_errors import first_error

GUARD_FLOOR = 10
"""Number of proxies that a list may always stop."""

ListDecision = Literal["taken", "stale", "held"]


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredProxy:
    """The newest record of a proxy that this node has, and `good`, the last one that really ran.

    `rec_rev` is the revision at which the master read the record. When this node cannot read a record, `record` is None
    and `refusal` is the reason; then `good` keeps running and the version is not requested again.
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
    """The effect of a message on the copy: only `seen` and `top` change unless the verdict is "taken"."""

    verdict: ListDecision
    rev: int
    seen: int
    top: int
    want: Mapping[int, int] = field(default_factory=dict[int, int])
    drop: frozenset[int] = frozenset()
    put: tuple[StoredProxy, ...] = ()
    held: Held | None = None
    ip: str = ""
    """Address at which clients reach this node; empty when the message does not name it."""

    @property
    def touched(self) -> frozenset[int]:
        """Ids whose proxies may have to start, change or stop."""
        return self.drop | {stored.id for stored in self.put}


@dataclass(slots=True)
class LocalCopy:
    """The wanted versions and stored proxies of one node.

    `rev` is the revision of the list in effect, `seen` the highest revision and `top` the highest version ever seen.
    `ip` is the address at which clients reach this node according to its master; empty until the first list.
    """

    rev: int = 0
    seen: int = 0
    top: int = 0
    wanted: dict[int, int] = field(default_factory=dict[int, int])
    proxies: dict[int, StoredProxy] = field(default_factory=dict[int, StoredProxy])
    held: Held | None = None
    ip: str = ""
    _missing: list[int] | None = field(default=None, compare=False)

    def take(self, change: CopyChange) -> None:
        """Apply a change."""
        self._missing = None
        self.rev, self.seen, self.top, self.held = change.rev, change.seen, change.top, change.held
        self.ip = change.ip or self.ip
        self.wanted.update(change.want)
        for id_ in change.drop:
            self.wanted.pop(id_, None)
            self.proxies.pop(id_, None)
        for stored in change.put:
            self.proxies[stored.id] = stored

    def become(self, other: "LocalCopy") -> None:
        """Take over the content of another copy, which must not be used afterwards."""
        self.rev, self.seen, self.top, self.held = other.rev, other.seen, other.top, other.held
        self.wanted, self.proxies, self.ip, self._missing = other.wanted, other.proxies, other.ip, None

    def forget(self) -> None:
        """Become the empty copy of a new node."""
        self.become(LocalCopy())

    def missing(self) -> list[int]:
        """List the wanted ids that are not stored in their wanted version, in ascending order."""
        if self._missing is None:
            proxies = self.proxies
            self._missing = sorted(
                id_ for id_, version in self.wanted.items() if id_ not in proxies or proxies[id_].version != version
            )
        return self._missing

    def digests(self) -> tuple[str, str]:
        """Return the digests of the stored proxies: over (id, version), and over their contents."""
        total = sum(stored.pair_hash or pair_hash(stored.id, stored.version) for stored in self.proxies.values())
        return f"{total % 2**64:016x}", content_digest(stored.content for stored in self.proxies.values())


def on_list(copy: LocalCopy, header: Header, pairs: Iterable[tuple[int, int]]) -> CopyChange:
    """Decide on a whole check-sync: unlisted proxies stop, listed ones are wanted. An older list is dropped."""
    if header.rev < copy.rev:
        return CopyChange(verdict="stale", rev=copy.rev, seen=copy.seen, top=copy.top, held=copy.held)
    wanted = dict(pairs)
    seen = max(copy.seen, header.rev)
    top = max(copy.top, max(wanted.values(), default=0))
    drop = frozenset((copy.wanted.keys() | copy.proxies.keys()) - wanted.keys())
    stops = len(drop & copy.proxies.keys())
    confirmed = sum(count for rev, count in header.confirm if rev > copy.rev)
    if guarded(stops, len(copy.proxies), confirmed):
        held = Held(rev=header.rev, stops=stops, of=len(copy.proxies))
        return CopyChange(verdict="held", rev=copy.rev, seen=seen, top=copy.top, held=held, ip=header.ip)
    want = {id_: version for id_, version in wanted.items() if copy.wanted.get(id_) != version}
    return CopyChange(verdict="taken", rev=header.rev, seen=seen, top=top, want=want, drop=drop, ip=header.ip)


def guarded(stops: int, proxies: int, confirmed: int) -> bool:
    """Whether the wipe guard holds a list back, which would stop `stops` of `proxies`, `confirmed` of them on purpose.

    It does when more than ten, and more than half of the other proxies, would stop without having been removed.
    """
    unaccounted = stops - confirmed
    return unaccounted > GUARD_FLOOR and unaccounted * 2 > proxies - confirmed


def on_records(copy: LocalCopy, header: Header, items: Iterable[SyncItem]) -> CopyChange:
    """Decide on a sync: take every record that is wanted and not older than the stored one."""
    put = {
        item.id: stored_proxy(item, header.rev, copy.proxies.get(item.id))
        for item in items
        if is_acceptable(copy, header.rev, item)
    }
    return CopyChange(
        verdict="taken" if put else "stale",
        rev=copy.rev,
        seen=max(copy.seen, header.rev),
        top=max(copy.top, max((stored.version for stored in put.values()), default=0)),
        put=tuple(put.values()),
        held=copy.held,
    )


def is_acceptable(copy: LocalCopy, rev: int, item: SyncItem) -> bool:
    """Whether this record, read at revision `rev`, may replace the stored one.

    A record read at our revision or later is the newest, unless the stored one was read later still (a restored
    database may bring a lower version, which is right). A record read before our revision is only good if it has the
    wanted version and we do not. A record with the stored version but another content is of a history that a restored
    database has undone: engines tell records apart by version alone, so this node waits for the new version that the
    master gives it after the next report.
    """
    if item.id not in copy.wanted:
        return False
    stored = copy.proxies.get(item.id)
    if stored is not None and stored.version == item.version and stored.content != item.content:
        return False
    if rev >= copy.rev:
        return stored is None or rev >= stored.rec_rev
    return item.version == copy.wanted[item.id] and (stored is None or item.version > stored.version)


def stored_proxy(item: SyncItem, rev: int, before: StoredProxy | None) -> StoredProxy:
    """Build the stored proxy of this record; a record that cannot be read is stored as refused."""
    record, refusal = None, ""
    try:
        record = ProxyRecord.model_validate(item.raw, strict=False)
    except ValidationError as error:
        refusal = f"this node cannot read the record: {first_error(error)}"
    return StoredProxy(
        id=item.id,
        version=item.version,
        content=item.content,
        rec_rev=rev,
        record=record,
        refusal=refusal[:300],
        good=before.good if before is not None else None,
        pair_hash=pair_hash(item.id, item.version),
    )
