"""What travels on the bus, once: the headers and the body of each message."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter

from shared.proxies import MAX_BIGINT, Id

WIRE_VERSION = 1
CONFIRMS = 100
"""Pairs in `confirm`; what is left out is not confirmed, which is the safe side."""
AGREED = ((MAX_BIGINT, 10**9),)
"""`confirm` of a list that somebody has agreed to as it is: it counts at whatever revision the node is."""
ASK_LIMIT = 4_000
"""Ids in one need-sync; the rest is asked for when these have come."""

MessageType = Literal["check-sync", "need-sync", "sync", "report"]
MESSAGE_TYPES: tuple[MessageType, ...] = ("check-sync", "need-sync", "sync", "report")

CountField = Annotated[int, Field(ge=0, le=MAX_BIGINT)]
Rev = CountField
Pair = tuple[Id, Id]
Reason = Annotated[str, Field(max_length=300)]
TROUBLE_LENGTH = 300
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
Short = Annotated[str, Field(max_length=100, pattern=r"^[^\x00]*$")]
"""Text without NUL, which PostgreSQL cannot keep."""
FailureKind = Literal["failed", "limited", "expired"]
"""`limited` and `expired`: the proxy runs at its version, but serves nobody now."""
RefusalReason = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
REQUEST_ID = r"[A-Za-z0-9._-]{1,64}"
REQUESTS = 5
"""Ids of requests in a check-sync; a burst of changes that melts into one carries its last."""


class MessageModel(BaseModel):
    """What every body model shares. Unknown members are passed over: a newer sender may say more."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class Header(MessageModel):
    """The headers of a message.

    `rev` is the node's revision that the sender speaks of. `part` counts from 1. `confirm` says at
    which revisions how many proxies were taken away on purpose, as far as the node's last report does not cover them:
    the node counts those past its own revision. `ip` is the address at which clients reach the node, which it
    cannot know behind a router that translates. `requests` are the last that changed something of the node: a hint, for
    its log.
    """

    v: int
    cluster: Short
    node: Id
    rev: Rev
    part: Annotated[int, Field(ge=1, le=100_000)] = 1
    parts: Annotated[int, Field(ge=1, le=100_000)] = 1
    confirm: Annotated[tuple[tuple[Rev, CountField], ...], Field(max_length=CONFIRMS)] = ()
    ip: Short = ""
    requests: Annotated[tuple[Short, ...], Field(max_length=REQUESTS)] = ()


class SyncItem(MessageModel):
    """One record in a sync, as far as every version of the node can read it; `raw` is the record as it came."""

    id: Id
    version: Id
    content: int = Field(ge=-(2**63), le=MAX_BIGINT)
    raw: dict[str, JsonValue]


class ProxyFailure(MessageModel):
    """A proxy that does not run at the version that it should, or that may not be used, and why."""

    id: Id
    version: Id
    reason: Reason
    kind: FailureKind = "failed"
    port_taken: bool = False
    """Its port is held by a program that is not ours."""


class Held(MessageModel):
    """A list that the wipe guard did not act on: it would have stopped `stops` of `of` proxies."""

    rev: Rev
    stops: CountField
    of: CountField


class UsageCounters(MessageModel):
    """A proxy's counters, which only ever grow within one life (`epoch`) of theirs; each life begins at nothing.

    `received_bytes` came from clients, `sent_bytes` went to them; `refused` counts connections by reason.
    """

    id: Id
    epoch: Id
    received_bytes: CountField = 0
    sent_bytes: CountField = 0
    connections: CountField = 0
    refused: Annotated[dict[RefusalReason, CountField], Field(max_length=32)] = Field(default_factory=dict[str, int])


class Report(MessageModel):
    """A node's acknowledgement, refusal and presence.

    `rev` is the revision of the list that it acts on, `done` the one up to which everything that lists said is done,
    `seen` the highest that it ever saw, `top` the highest version.
    `digest` and `content` are over the records that it holds, `count` of them; `missing` are wanted but not here yet.
    `failed` is complete for the ids from `failed_from` to `failed_to`. (`session`, `number`)
    grows with every report of a node: milliseconds since 1970 at the agent's start, and a count. `usage` are some of
    the node's counters: to tell one twice, or late, does no harm.
    """

    rev: Rev
    seen: Rev
    top: CountField
    digest: Digest
    content: Digest
    count: CountField
    running: CountField
    missing: CountField = 0
    done: Rev = 0
    failed: tuple[ProxyFailure, ...] = ()
    failed_from: CountField = 0
    failed_to: CountField = MAX_BIGINT
    held: Held | None = None
    trouble: Annotated[str, Field(max_length=TROUBLE_LENGTH)] = ""
    """What keeps the node from taking changes: its local copy cannot be written, and why."""
    foreign: Short | None = None
    """A cluster whose messages this node refused since its last report."""
    connected: bool = False
    session: CountField = 0
    number: CountField = 0
    agent: Short = ""
    engines: Annotated[dict[Short, Short], Field(max_length=16)] = Field(default_factory=dict[str, str])
    usage: Annotated[tuple[UsageCounters, ...], Field(max_length=5_000)] = ()


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


MessageBody = CheckSync | NeedSync | Sync | Report

IDS: TypeAdapter[tuple[Id, ...]] = TypeAdapter(tuple[Id, ...])
