"""Headers and bodies of all messages on the bus."""

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from pydantic import AwareDatetime, Field, JsonValue, TypeAdapter

from shared.messages.broker_config import BrokerReport, ConfigBody, ConfigOkBody
from shared.messages.fields import CountField, MessageModel, Reason, Rev, Short, StateName
from shared.proxies import MAX_BIGINT, Id

WIRE_VERSION = 1
CONFIRMS = 100
"""Most pairs in `confirm`. Removals that are left out count as unconfirmed, which is the safe side."""
AGREED = ((MAX_BIGINT, 10**9),)
"""`confirm` of a list that an operator has accepted as it is: it counts at any revision of the node."""
ASK_LIMIT = 4_000
"""Most ids in one need-sync. The node requests the others when these have arrived."""

MessageType = Literal["check-sync", "need-sync", "sync", "report", "upgrade", "config", "config-ok"]
MESSAGE_TYPES: tuple[MessageType, ...] = get_args(MessageType)

LiveCount = Annotated[int, Field(ge=0, le=10**12)]
"""A figure of the moment. Sums over a whole fleet stay within a bigint."""
Share = Annotated[float, Field(ge=0, le=1)]
Pair = tuple[Id, Id]
TROUBLE_LENGTH = 300
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
FailureKind = Literal["failed", "limited", "expired"]
"""`limited` and `expired`: the proxy runs at its version, but serves nobody now."""
RefusalReason = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
ReleaseVersion = Annotated[str, Field(pattern=r"^[0-9]{1,6}(\.[0-9]{1,6}){2}(rc[0-9]{1,4})?$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
WebAddress = Annotated[str, Field(max_length=500, pattern=r"^https?://[!-~]+$")]
UpgradeStateName = StateName
"""One of UPGRADE_STATES, or a state that only a newer node knows."""
UPGRADE_STATES = ("fetching", "verifying", "installing", "restarting", "checking", "done", "rolled_back", "refused")
"""The states of an upgrade on its node, in order. The last three are final."""
REQUEST_ID = r"[A-Za-z0-9._-]{1,64}"
REQUESTS = 5
"""Most ids of API requests in a check-sync. One that stands for a burst of changes names the last requests."""


class Header(MessageModel):
    """The headers of a message.

    `rev` is the revision of the node to which the message belongs, and `part` counts from 1. `confirm` lists
    (revision, number of proxies removed on purpose) since the node's last report; the node counts those above its own
    revision. `ip` is the address at which clients reach the node, which it cannot know behind a NAT router. `requests`
    are ids of the last API requests that changed the node, for its log only.
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
    """One record in a sync: the members that every version of the node can read, and the whole record as `raw`."""

    id: Id
    version: Id
    content: int = Field(ge=-(2**63), le=MAX_BIGINT)
    raw: dict[str, JsonValue]


class ProxyFailure(MessageModel):
    """A proxy that does not run at its wanted version, or serves nobody, and the reason."""

    id: Id
    version: Id
    reason: Reason
    kind: FailureKind = "failed"
    port_taken: bool = False
    """Whether another program uses the proxy's port."""


class Held(MessageModel):
    """A list that the wipe guard holds back: it would stop `stops` of `of` proxies."""

    rev: Rev
    stops: CountField
    of: CountField


class UsageCounters(MessageModel):
    """Counters of a proxy, which only grow within one `epoch` and start at zero in each.

    `received_bytes` came from clients, `sent_bytes` went to them; `refused` counts connections by reason.
    """

    id: Id
    epoch: Id
    received_bytes: CountField = 0
    sent_bytes: CountField = 0
    connections: CountField = 0
    refused: Annotated[dict[RefusalReason, CountField], Field(max_length=32)] = Field(default_factory=dict[str, int])


class LoadReport(MessageModel):
    """The load of a node: shares of its host's processors and memory that are in use, and the sums over its proxies.

    `rx_bps` are bits per second from clients, `tx_bps` to them, and `connections` those of clients that are open now. A
    host that does not show a share leaves it out.
    """

    cpu: Share | None = None
    memory: Share | None = None
    rx_bps: LiveCount = 0
    tx_bps: LiveCount = 0
    connections: LiveCount = 0


class LiveFigures(MessageModel):
    """The connections of a proxy that are open now, and its bits per second from clients and to them."""

    id: Id
    connections: LiveCount = 0
    rx_bps: LiveCount = 0
    tx_bps: LiveCount = 0


class UpgradeReport(MessageModel):
    """The upgrade of which the node was asked last, and whether it can upgrade itself at all (`able`).

    `id` is that of the request. A node that was never asked leaves out all members but `able`.
    """

    able: bool = False
    id: Id | None = None
    version: Short = ""
    state: UpgradeStateName = ""
    reason: Reason = ""


class TlsCertificate(MessageModel):
    """The certificate with which a node serves clients that speak TLS, without its key.

    `pem` is what clients have to trust: the node's own authority if it is `self_made`, else the operator's certificate.
    `problem` is why a newer certificate is not used.
    """

    pem: Annotated[str, Field(max_length=16_000, pattern=r"^[^\x00]*$")]
    names: Annotated[tuple[Short, ...], Field(max_length=100)] = ()
    expires_at: AwareDatetime
    self_made: bool = False
    problem: Reason = ""


class Report(MessageModel):
    """A node's acknowledgement, refusal and sign of life.

    Revisions: `rev` is that of the list in effect, `done` that up to which everything is done, and `seen` the highest
    ever seen; `top` is the highest version ever seen. `digest` and `content` are digests over the `count` records that
    the node stores; `missing` counts wanted records that have not arrived. `failed` is complete for the ids from
    `failed_from` to `failed_to`. The pair (`session`, `number`) grows with every report: milliseconds since 1970 at the
    agent's start, and a count. `usage` are some of the node's counters; repeated or late ones do no harm. `live` are
    figures of some proxies: changed figures are reported, and figures other than zero again every minute.
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
    """Reason why the node takes no changes: its local copy cannot be written."""
    foreign: Short | None = None
    """Another cluster whose messages the node has refused since its last report."""
    connected: bool = False
    session: CountField = 0
    number: CountField = 0
    agent: Short = ""
    engines: Annotated[dict[Short, Short], Field(max_length=16)] = Field(default_factory=dict[str, str])
    usage: Annotated[tuple[UsageCounters, ...], Field(max_length=5_000)] = ()
    load: LoadReport | None = None
    """None of an agent that has just started, or that knows no `live` figures."""
    live: Annotated[tuple[LiveFigures, ...], Field(max_length=5_000)] = ()
    upgrade: UpgradeReport | None = None
    """None of an agent that knows no upgrades."""
    broker: BrokerReport | None = None
    """None of an agent that cannot be moved; it uses the addresses from its enrolment."""
    tls_certificate: TlsCertificate | None = None
    """None of a node without one: it has no proxy that speaks TLS, or knows none."""


class UpgradeRequest(MessageModel):
    """A request that the node installs this version, sent again until a report names its `id`.

    `url` is where the manifest of the version is, and `sha256` its checksum. Later requests have higher ids, also after
    a restore of the master's database. The node checks the manifest's signature by its own keys.
    """

    id: Id
    version: ReleaseVersion
    url: WebAddress
    sha256: Sha256
    downgrade: bool = False
    """Whether the version may be older than the installed one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckSync:
    """The (id, version) pairs of all proxies of a node, or one part of them."""

    pairs: tuple[tuple[int, int], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class NeedSync:
    """Ids of proxies that a node lacks or has in another version."""

    ids: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sync:
    """Records that a node requested, or some of them."""

    items: tuple[SyncItem, ...]


MessageBody = CheckSync | NeedSync | Sync | Report | UpgradeRequest | ConfigBody | ConfigOkBody

IDS: TypeAdapter[tuple[Id, ...]] = TypeAdapter(tuple[Id, ...])
