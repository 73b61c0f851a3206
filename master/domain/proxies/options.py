"""The options of a proxy's exit, limits, destinations and schedule."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from master.schemas.addresses import ExitAddress, Prefix
from master.schemas.base import RequestBody, omitted
from master.schemas.fields import Hosts, Overlap, PortList, distinct
from master.schemas.timestamps import Timestamp
from shared.proxies import MAX_BIGINT, ExitMode, TrafficPeriod


class ExitOptions(RequestBody):
    """The exit by which connections leave the node; null resets a member to its default."""

    mode: ExitMode = Field(
        default_factory=omitted,
        description="`default`: the address that the node's system chooses. `address`: the local address in `address`. "
        "`ipv6_random`: a new random address for each connection. `ipv6_session`: one random address for each session, "
        "that is for each user name `username-session-ID`.",
    )
    address: ExitAddress | None = Field(
        default_factory=omitted, description="The local address of the node, with mode `address`."
    )
    prefix: Prefix | None = Field(
        default_factory=omitted,
        description="The IPv6 network of the random modes. Default: the first prefix of the node.",
    )
    session_ttl_s: Annotated[int, Field(ge=1, le=86_400)] | None = Field(
        default_factory=omitted, description="Seconds for which a session keeps its address after its last connection."
    )


class LimitOptions(RequestBody):
    """The limits of a proxy; null removes a limit. By default there is none."""

    connections: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        default_factory=omitted, description="The most connections that are open at once."
    )
    bandwidth_bps: Annotated[int, Field(ge=8_000, le=10**12)] | None = Field(
        default_factory=omitted,
        description="The most bits per second in each direction, over all connections together.",
    )
    traffic_bytes: Annotated[int, Field(ge=1, le=MAX_BIGINT)] | None = Field(
        default_factory=omitted,
        description="The quota: bytes in both directions together. When it is spent, clients are refused and the state "
        "is "
        "`limited`.",
    )
    traffic_period: TrafficPeriod = Field(
        default_factory=omitted,
        description="The period of the quota: `total`, or each UTC `day` or `month`. Default: `total`.",
    )
    expires_at: Timestamp | None = Field(
        default_factory=omitted,
        description="The time (RFC 3339) from which clients are refused and the state is `expired`. It must lie in the "
        "future "
        "unless the query has `allow_past=true`.",
    )


class DestinationOptions(RequestBody):
    """The destinations that clients may reach. Each list replaces the former one; null or an empty list resets it."""

    deny_ports: PortList | None = Field(
        default_factory=omitted,
        description="Ports that are refused, as numbers or ranges `from-to`. Usage counts such refusals as `port`.",
    )
    allow_ports: PortList | None = Field(
        default_factory=omitted,
        description="The only ports that are allowed. Default: all but those that the node refuses (its setting "
        "NODE_DENY_PORTS, by default 25). Name such a port here, or `1-65535`, to allow it for this proxy.",
    )
    deny_hosts: Hosts | None = Field(
        default_factory=omitted,
        description="Hosts that are refused: names in their ASCII form, each with its subdomains, addresses and "
        "networks. Addresses are compared after names are resolved. Usage counts such refusals as `host`.",
    )


RotationPart = Literal["exit", "credentials", "port", "node"]


RotationParts = Annotated[
    list[RotationPart],
    Field(
        min_length=1,
        max_length=4,
        description="The parts to change. `exit`: another declared address, or new addresses for all sessions. "
        "`credentials`: a new user name and password. `port`: another port of the node's range. `node`: another node. "
        "Several parts change together.",
    ),
    AfterValidator(distinct),
]


class ScheduleOptions(RequestBody):
    """The schedule on which a proxy is rotated; null resets a member. By default there is no schedule."""

    every_s: Annotated[int, Field(ge=10, le=31_536_000)] | None = Field(
        default_factory=omitted, description="Seconds from one rotation to the next."
    )
    jitter_s: Annotated[int, Field(ge=0, le=31_536_000)] | None = Field(
        default_factory=omitted, description="The most seconds by which a rotation is delayed at random."
    )
    what: RotationParts | None = Field(default_factory=omitted)
    overlap_s: Overlap | None = Field(
        default_factory=omitted,
        description="Seconds for which the former endpoint continues to serve. Default: 60, or half of `every_s` if "
        "that is "
        "less.",
    )
