"""Everything that travels on the bus, once: names, properties, bodies and their limits."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from shared.proxies import MAX_BIGINT, Id, NodeId

WIRE_VERSION = 1
NODE_EXCHANGE = "mp.node"
MASTER_EXCHANGE = "mp.master"
MASTER_QUEUE = "mp.master"
DEAD_QUEUE = "mp.dead"

BODY_LIMIT = 50_000
"""Bytes of one body; RabbitMQ's management UI cuts a message there."""
READ_LIMIT = 1_048_576
"""Bytes that a reader looks at at all: nobody of ours writes more."""
CONFIRMS = 100
"""Pairs in `confirm`; what is left out is not confirmed, which is the safe side."""
USAGE_ROOM = 10_000
"""Bytes that failures leave for counters in each report."""
AGREED = ((MAX_BIGINT, 10**9),)
"""`confirm` of a list that somebody has agreed to as it is: it counts at whatever revision the node is."""
ASK_LIMIT = 4_000
"""Ids in one need-sync; the rest is asked for when these have come."""

MessageType = Literal["check-sync", "need-sync", "sync", "report"]
MESSAGE_TYPES: tuple[MessageType, ...] = ("check-sync", "need-sync", "sync", "report")

Count = Annotated[int, Field(ge=0, le=MAX_BIGINT)]
Rev = Count
Pair = tuple[Id, Id]
Reason = Annotated[str, Field(max_length=300)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
Short = Annotated[str, Field(max_length=100, pattern=r"^[^\x00]*$")]
"""Text without NUL, which PostgreSQL cannot keep."""
FailureKind = Literal["failed", "limited", "expired"]
"""`limited` and `expired`: the proxy runs at its version, but serves nobody now."""
RefusalReason = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
COMPLAINT_LIMIT = 300
REQUEST_ID = r"[A-Za-z0-9._-]{1,64}"
REQUESTS = 5
"""Ids of requests in a check-sync; a burst of changes that melts into one carries its last."""


class Unreadable(Exception):
    """A message that nobody can act on; the text says why."""


class Wire(BaseModel):
    """What every body model shares. Unknown members are passed over: a newer sender may say more."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class Header(Wire):
    """The headers of a message.

    `rev` is the node's revision that the sender speaks of. `part` counts from 1. `confirm` says at
    which revisions how many proxies were taken away on purpose, as far as the node's last report does not cover them:
    the node counts those past its own revision. `requests` are the last that changed something of the node: a hint, for
    its log.
    """

    v: int
    cluster: Short
    node: Id
    rev: Rev
    part: Annotated[int, Field(ge=1, le=100_000)] = 1
    parts: Annotated[int, Field(ge=1, le=100_000)] = 1
    confirm: Annotated[tuple[tuple[Rev, Count], ...], Field(max_length=CONFIRMS)] = ()
    requests: Annotated[tuple[Short, ...], Field(max_length=REQUESTS)] = ()


class SyncItem(Wire):
    """One record in a sync, as far as every version of the node can read it; `raw` is the record as it came."""

    id: Id
    version: Id
    content: int = Field(ge=-(2**63), le=MAX_BIGINT)
    raw: dict[str, JsonValue]


class Failure(Wire):
    """A proxy that does not run at the version that it should, or that may not be used, and why."""

    id: Id
    version: Id
    reason: Reason
    kind: FailureKind = "failed"
    port_taken: bool = False
    """Its port is held by a program that is not ours."""


class Held(Wire):
    """A list that the wipe guard did not act on: it would have stopped `stops` of `of` proxies."""

    rev: Rev
    stops: Count
    of: Count


class Usage(Wire):
    """A proxy's counters, which only ever grow within one life (`epoch`) of theirs; each life begins at nothing.

    `received_bytes` came from clients, `sent_bytes` went to them; `refused` counts connections by reason.
    """

    id: Id
    epoch: Id
    received_bytes: Count = 0
    sent_bytes: Count = 0
    connections: Count = 0
    refused: Annotated[dict[RefusalReason, Count], Field(max_length=32)] = Field(default_factory=dict[str, int])


class Report(Wire):
    """A node's acknowledgement, refusal and presence.

    `rev` is the revision of the list that it acts on, `seen` the highest that it ever saw, `top` the highest version.
    `digest` and `content` are over the records that it holds, `count` of them; `missing` are wanted but not here yet,
    `starting` not yet tried. `failed` is complete for the ids from `failed_from` to `failed_to`. (`session`, `number`)
    grows with every report of a node: milliseconds since 1970 at the agent's start, and a count. `usage` are some of
    the node's counters: to tell one twice, or late, does no harm.
    """

    rev: Rev
    seen: Rev
    top: Count
    digest: Digest
    content: Digest
    count: Count
    running: Count
    missing: Count = 0
    starting: Count = 0
    failed: tuple[Failure, ...] = ()
    failed_from: Count = 0
    failed_to: Count = MAX_BIGINT
    held: Held | None = None
    foreign: Short | None = None
    """A cluster whose messages this node refused since its last report."""
    connected: bool = False
    session: Count = 0
    number: Count = 0
    agent: Short = ""
    engines: Annotated[dict[Short, Short], Field(max_length=16)] = Field(default_factory=dict[str, str])
    usage: Annotated[tuple[Usage, ...], Field(max_length=5_000)] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckSync:
    """All (id, version) pairs that a node should have, or one part of them."""

    pairs: tuple[tuple[int, int], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class NeedSync:
    """Ids that a node lacks or has in another version."""

    ids: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sync:
    """Records that a node asked for, or some of them."""

    items: tuple[SyncItem, ...]


Body = CheckSync | NeedSync | Sync | Report

PAIRS: TypeAdapter[tuple[Pair, ...]] = TypeAdapter(tuple[Pair, ...])
IDS: TypeAdapter[tuple[Id, ...]] = TypeAdapter(tuple[Id, ...])
RAW_RECORDS: TypeAdapter[tuple[dict[str, JsonValue], ...]] = TypeAdapter(tuple[dict[str, JsonValue], ...])


def decode(type_: str | None, body: bytes) -> Body:
    """The body of a message of this type. Raises Unreadable."""
    if len(body) > READ_LIMIT:
        raise Unreadable(f"{len(body)} bytes are more than the {READ_LIMIT} that are read")
    try:
        match type_:
            case "check-sync":
                return CheckSync(pairs=PAIRS.validate_json(body))
            case "need-sync":
                return NeedSync(ids=IDS.validate_json(body))
            case "sync":
                return Sync(items=tuple(sync_item(raw) for raw in RAW_RECORDS.validate_json(body)))
            case "report":
                return Report.model_validate_json(body)
            case _:
                raise Unreadable(f"unknown type {str(type_)[:40]!r}")
    except ValidationError as error:
        raise Unreadable(first_complaint(error)) from error


def sync_item(raw: dict[str, JsonValue]) -> SyncItem:
    """The record's envelope; raises ValidationError when not even that can be read."""
    return SyncItem.model_validate({**{k: raw[k] for k in ("id", "version", "content") if k in raw}, "raw": raw})


def decode_header(headers: object) -> Header:
    """The headers of a message. Raises Unreadable."""
    try:
        header = Header.model_validate(headers)
    except ValidationError as error:
        raise Unreadable(f"headers: {first_complaint(error)}") from error
    if header.v != WIRE_VERSION:
        told = printable(f"wire version {header.v}", COMPLAINT_LIMIT // 2)
        raise Unreadable(f"{told}, this program speaks {WIRE_VERSION}")
    if header.part > header.parts:
        raise Unreadable(f"part {header.part} of {header.parts}")
    return header


def first_complaint(error: ValidationError) -> str:
    """Where and what the first of the errors is, without the offending value (it may be a secret)."""
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    where = "/".join(str(step) for step in first["loc"])
    return printable(f"{where}: {complaint(first)}" if where else complaint(first), COMPLAINT_LIMIT)


def printable(text: str, limit: int) -> str:
    """What a stranger wrote, fit for a log and the database: cut, and without what nothing prints."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text[:limit])


def complaint(error: ErrorDetails) -> str:
    """What one of pydantic's errors says, without its preface to words of ours."""
    return error["msg"].removeprefix("Value error, ")


def encode(body: NeedSync | Report) -> bytes:
    """The one body of a message that is never split."""
    match body:
        case NeedSync(ids=ids):
            return IDS.dump_json(ids)
        case Report():
            return body.model_dump_json(exclude_defaults=True).encode()


def encode_pairs(pairs: Iterable[tuple[int, int]]) -> list[bytes]:
    """The bodies of a check-sync, each under BODY_LIMIT; an empty list is one message like any other."""
    return joined([b"[%d,%d]" % pair for pair in pairs])


def encode_records(records: Iterable[bytes]) -> list[bytes]:
    """The bodies of a sync out of records that are JSON already."""
    return joined(list(records))


def joined(items: Sequence[bytes]) -> list[bytes]:
    """JSON arrays of these items, filled up to BODY_LIMIT each."""
    return [b"[" + b",".join(batch) + b"]" for batch in batches(items, [len(item) for item in items])] or [b"[]"]


Item = TypeVar("Item")


def batches(items: Sequence[Item], sizes: Sequence[int], limit: int = BODY_LIMIT - 2) -> list[Sequence[Item]]:
    """Consecutive runs of the items whose sizes, a comma each included, stay within the limit; one item at least."""
    out: list[Sequence[Item]] = []
    start = filled = 0
    for index, size in enumerate(sizes):
        if index > start and filled + size + 1 > limit:
            out.append(items[start:index])
            start, filled = index, 0
        filled += size + 1
    if start < len(items):
        out.append(items[start:])
    return out


def usage_room(report: Report) -> int:
    """Bytes of counters that still fit into this report; at least about USAGE_ROOM."""
    return BODY_LIMIT - len(encode(report)) - len(',"usage":[]')


def usage_size(usage: Usage) -> int:
    """Bytes of one counter in a report, its comma included."""
    return len(usage.model_dump_json(exclude_defaults=True)) + 1


def failure_parts(failures: Sequence[Failure]) -> list[tuple[Sequence[Failure], int, int]]:
    """Failures in order of id, split for reports: each part with the range of ids for which it is complete."""
    ordered = sorted(failures, key=lambda failure: failure.id)
    runs = batches(ordered, [len(failure.model_dump_json()) for failure in ordered], BODY_LIMIT - USAGE_ROOM - 2_000)
    ends = [run[-1].id for run in runs[:-1]] + [MAX_BIGINT]
    starts = [0, *(end + 1 for end in ends[:-1])]
    return list(zip(runs or [[]], starts, ends, strict=True))


def node_queue(node_id: NodeId) -> str:
    """The queue that only this node reads."""
    return f"mp.node.{node_id}"


def node_login(node_id: NodeId) -> str:
    """The broker's user of this node; no character of it means anything in a regular expression."""
    return f"node-{node_id}"


def report_key(node_id: NodeId, type_: MessageType) -> str:
    """The routing key of a message from this node; the broker lets it use no other."""
    return f"{node_login(node_id)}.{type_}"


ROUNDS_KEPT = 4
"""Check-syncs whose parts are collected at once: a round that lost a part must not stand in the way of the next."""

Pairs = tuple[tuple[int, int], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Assembly:
    """The parts of one check-sync that have come so far, by their numbers."""

    rev: int
    parts: int
    got: Mapping[int, Pairs]


Assemblies = Mapping[str, Assembly]


def assemble(assemblies: Assemblies, round_: str, header: Header, body: CheckSync) -> tuple[Assemblies, Pairs | None]:
    """What is collected with this part, and the whole list when it was the last one that was missing."""
    begun = assemblies.get(round_)
    same = begun is not None and (begun.rev, begun.parts) == (header.rev, header.parts)
    got = {**(begun.got if begun is not None and same else {}), header.part: body.pairs}
    others = {key: assembly for key, assembly in assemblies.items() if key != round_}
    if len(got) == header.parts:
        return others, tuple(pair for part in sorted(got) for pair in got[part])
    kept = dict(list(others.items())[-ROUNDS_KEPT + 1 :])
    return {**kept, round_: Assembly(rev=header.rev, parts=header.parts, got=got)}, None
