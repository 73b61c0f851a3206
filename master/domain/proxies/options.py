"""What may be asked of a proxy's exit, limits and destinations."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from master.schemas.addresses import ExitAddress, Prefix
from master.schemas.base import RequestBody, omitted
from master.schemas.fields import Hosts, Overlap, PortList, distinct
from master.schemas.timestamps import Timestamp
from shared.proxies import MAX_BIGINT, ExitMode, TrafficPeriod


class ExitOptions(RequestBody):
    """Where connections shall leave the node; null takes a member back."""

    mode: ExitMode = Field(
        default_factory=omitted,
        description="address: this local address of the node; ipv6_random: a fresh address for each connection; "
        "ipv6_session: one for each session, that is for each user name `username-session-ID`",
    )
    address: ExitAddress | None = Field(default_factory=omitted, description="of mode address")
    prefix: Prefix | None = Field(
        default_factory=omitted, description="of the random modes; the node's first prefix when none is given"
    )
    session_ttl_s: Annotated[int, Field(ge=1, le=86_400)] | None = Field(
        default_factory=omitted, description="how long a session keeps its address after its last connection"
    )


class LimitOptions(RequestBody):
    """What the proxy may be used for at most; null takes a limit away."""

    connections: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        default_factory=omitted, description="open at once"
    )
    bandwidth_bps: Annotated[int, Field(ge=8_000, le=10**12)] | None = Field(
        default_factory=omitted, description="bits per second in each direction, over all connections"
    )
    traffic_bytes: Annotated[int, Field(ge=1, le=MAX_BIGINT)] | None = Field(
        default_factory=omitted, description="both directions together; when they are spent, the state is limited"
    )
    traffic_period: TrafficPeriod = Field(
        default_factory=omitted, description="in which traffic_bytes are counted: ever, or each UTC day or month"
    )
    expires_at: Timestamp | None = Field(
        default_factory=omitted,
        description="from then on nobody is served and the state is expired; RFC 3339; a new one lies in the future "
        "unless the query says allow_past=true",
    )


class DestinationOptions(RequestBody):
    """Where clients may connect to. Each list replaces the one before; an empty list or null takes it back."""

    deny_ports: PortList | None = Field(
        default_factory=omitted,
        description="Ports that are refused, as numbers or ranges `from-to`. A refusal is counted as `port` in usage.",
    )
    allow_ports: PortList | None = Field(
        default_factory=omitted,
        description="The only ports that are not refused. Without it these are all but those that the node refuses by "
        "default (its NODE_DENY_PORTS: 25); name such a port here, or `1-65535`, to open it for this proxy.",
    )
    deny_hosts: Hosts | None = Field(
        default_factory=omitted,
        description="Hosts that are refused: names in their ASCII form, each with its subdomains, addresses and "
        "networks. Addresses are compared after a name is resolved. A refusal is counted as `host` in usage.",
    )


RotationPart = Literal["exit", "credentials", "port", "node"]


RotationParts = Annotated[
    list[RotationPart],
    Field(
        min_length=1,
        max_length=4,
        description="exit: another declared address, or all sessions forgotten; credentials: user name and password; "
        "port: another one of the node's range; node: another node. Several at once are one change",
    ),
    AfterValidator(distinct),
]


class ScheduleOptions(RequestBody):
    """When and how a proxy is rotated by itself; null takes a member back."""

    every_s: Annotated[int, Field(ge=10, le=31_536_000)] | None = Field(
        default_factory=omitted, description="from one turn to the next"
    )
    jitter_s: Annotated[int, Field(ge=0, le=31_536_000)] | None = Field(
        default_factory=omitted, description="by up to so much each turn comes later, drawn anew each time"
    )
    what: RotationParts | None = Field(default_factory=omitted)
    overlap_s: Overlap | None = Field(
        default_factory=omitted, description="the former endpoint serves on for so long: 60 s or half of every_s"
    )
