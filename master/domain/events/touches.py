"""Touches: resources that changed without an event, such as by a report. They are streamed and never stored. Pure.

Touches are merged, so that a reader of any speed gets the names of everything that changed, or that too much did.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from shared.proxies import MAX_BIGINT

TouchedKind = Literal["nodes", "proxies", "stacks", "upgrades"]
Ids = frozenset[int] | None
"""None: more than MOST_IDS."""
Touched = Mapping[TouchedKind, Ids]

KINDS: tuple[TouchedKind, ...] = get_args(TouchedKind)
VISIBLE: tuple[TouchedKind, ...] = ("nodes", "proxies", "stacks")
"""The kinds of which a token with a filter has a part."""
MOST_IDS = 500
MOST_LETTERS = 7_900
"""PostgreSQL passes on payloads of less than 8,000 bytes."""
MOST_NODES = 5_000
"""Reports that are merged before all resources count as touched."""
EVERYTHING: Touched = dict.fromkeys(KINDS)


class ReportTouch(BaseModel):
    """The payload of a notification: a node reported something that is shown.

    It confirmed the changes of its proxies after the revision `after`, up to `until`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    node_id: int
    after: int
    until: int


class NamedTouch(BaseModel):
    """The payload of a notification: these resources changed; null: too many to name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: TouchedKind
    ids: Annotated[list[int], Field(max_length=MOST_IDS)] | None


PAYLOAD: TypeAdapter[ReportTouch | NamedTouch] = TypeAdapter(ReportTouch | NamedTouch)


@dataclass(frozen=True, slots=True)
class PendingTouches:
    """Touches whose proxies are not looked up yet: the revisions that each node confirmed, and named resources."""

    reports: Mapping[int, tuple[int, int]] = field(default_factory=dict[int, tuple[int, int]])
    named: Touched = field(default_factory=dict[TouchedKind, Ids])

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.reports or self.named)


def payload_of(kind: TouchedKind, ids: Iterable[int]) -> str:
    """Return the payload that names these resources, or that they are too many for a message or a payload."""
    some = sorted(set(islice(ids, MOST_IDS + 1)))
    text = NamedTouch(kind=kind, ids=some).model_dump_json() if len(some) <= MOST_IDS else ""
    return text if 0 < len(text) <= MOST_LETTERS else NamedTouch(kind=kind, ids=None).model_dump_json()


def all_proxies_of(node_id: int) -> str:
    """Return the payload of a change that concerns every proxy of a node, such as that it went offline."""
    return ReportTouch(node_id=node_id, after=-1, until=MAX_BIGINT).model_dump_json()


def read_payload(text: str) -> PendingTouches:
    """Read a payload. One that is empty (notifications may be lost) or of another version touches everything."""
    try:
        match PAYLOAD.validate_json(text):
            case ReportTouch(node_id=node_id, after=after, until=until):
                return PendingTouches(reports={node_id: (after, until)})
            case NamedTouch(kind=kind, ids=ids):
                return PendingTouches(named={kind: None if ids is None else frozenset(ids)})
    except ValidationError:
        return PendingTouches(named=EVERYTHING)


def both_pending(one: PendingTouches, other: PendingTouches) -> PendingTouches:
    """Merge touches that are not looked up yet."""
    reports = dict(one.reports)
    for node_id, (after, until) in other.reports.items():
        known = reports.get(node_id, (after, until))
        reports[node_id] = (min(known[0], after), max(known[1], until))
    if len(reports) > MOST_NODES:
        return PendingTouches(named=EVERYTHING)
    return PendingTouches(reports=reports, named=merged([one.named, other.named]))


def merged(touches: Iterable[Touched]) -> Touched:
    """Merge touches. More than MOST_IDS of a kind are not named any more."""
    found: dict[TouchedKind, Ids] = {}
    for touched in touches:
        for kind, ids in touched.items():
            known = found.get(kind, frozenset[int]())
            both = None if known is None or ids is None else known | ids
            found[kind] = both if both is None or len(both) <= MOST_IDS else None
    return found


def named(kind: TouchedKind, ids: Iterable[int | None]) -> Touched:
    """Name resources of one kind; None is no resource."""
    found = frozenset(id_ for id_ in ids if id_ is not None)
    return merged([{kind: found}]) if found else {}


def visible(touched: Touched, found: Mapping[TouchedKind, Iterable[int]]) -> Touched:
    """Return what a token with a filter may get of these touches, by the resources of its part that were found."""
    shown = {kind: None if ids is None else frozenset(found.get(kind, ())) for kind, ids in touched.items()}
    return {kind: ids for kind, ids in shown.items() if kind in VISIBLE and (ids is None or ids)}


def frames(touched: Touched) -> bytes:
    """Write a server-sent event for each kind. It has no id, so the reader's position stays."""
    texts: list[str] = []
    for kind, ids in sorted(touched.items()):
        data = json.dumps({"kind": kind, "ids": None if ids is None else sorted(ids)})
        texts.append(f"event: touched\ndata: {data}\n\n")
    return "".join(texts).encode()
