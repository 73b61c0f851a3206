"""The bodies that the API takes: new things and changes of things, each strict about what it is given."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from ipaddress import IPv6Network, ip_address
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer

from master.model import NodeState
from master.turns import Turn
from shared.enrolment import read_challenge
from shared.proxies import (
    MAX_BIGINT,
    EngineName,
    ExitMode,
    Id,
    Network,
    Password,
    Port,
    Protocol,
    TrafficPeriod,
    Username,
)

ENROL_PORT = 3006
"""Where a waiting node listens unless it is told otherwise."""

METADATA_IP = "fd00:ec2::254"
"""The one metadata address of a cloud that is not link-local (AWS)."""

PREFIX_LENGTHS = range(32, 113)
"""Of a prefix to draw addresses out of: what is left must tell proxies and connections apart."""

PRINTABLE = r"^[^\x00-\x1f\x7f]*$"


def node_ip(text: str) -> str:
    """A literal unicast address in its canonical spelling. Raises ValueError."""
    address = ip_address(text)
    if getattr(address, "scope_id", None) is not None:
        raise ValueError("no address of a node: its scope means something on one host only")
    address = getattr(address, "ipv4_mapped", None) or address
    if address.is_link_local or address.is_multicast or address.is_unspecified or str(address) == METADATA_IP:
        raise ValueError("no address of a node: link-local, multicast, metadata or unspecified")
    return str(address)


def exit_address(text: str) -> str:
    """A literal unicast address in its canonical spelling. Raises ValueError."""
    address = ip_address(text)
    if getattr(address, "scope_id", None) is not None:
        raise ValueError("no address to leave by: its scope means something on one host only")
    if address.is_multicast or address.is_unspecified or address.is_link_local:
        raise ValueError("no address to leave by: link-local, multicast or unspecified")
    return str(address)


def ipv6_prefix(text: str) -> str:
    """An IPv6 network in its canonical spelling. Raises ValueError."""
    network = IPv6Network(text, strict=False)
    if network.prefixlen not in PREFIX_LENGTHS:
        raise ValueError(f"a prefix has /{PREFIX_LENGTHS.start} to /{PREFIX_LENGTHS.stop - 1}")
    if network.is_multicast or network.is_link_local:
        raise ValueError("no prefix to draw from: link-local or multicast")
    return str(network)


def instant(moment: datetime) -> datetime:
    """In UTC. Raises ValueError at the ends of the calendar."""
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("a moment in the years 1 to 9999 (UTC)") from error


def rfc_3339(moment: datetime) -> str:
    """As it is kept and told: 2026-11-22T20:00:00Z."""
    return moment.isoformat().replace("+00:00", "Z")


def port_range(text: str) -> str:
    """The range "from-to" in its canonical spelling. Raises ValueError."""
    low, high = port_bounds(text)
    if not 1 <= low <= high <= 65535:
        raise ValueError("a range of ports begins at 1 or above, ends at 65535 or below, and does not run backwards")
    return f"{low}-{high}"


def port_bounds(ports: str) -> tuple[int, int]:
    """The ends of "from-to"."""
    low, _, high = ports.partition("-")
    return int(low), int(high)


def known_challenge(text: str) -> str:
    """The challenge as it came, when it can be one. Raises ValueError without repeating it."""
    read_challenge(text)
    return text


def distinct(items: list[Any]) -> list[Any]:
    """Each item once, in the order of its first coming."""
    return list(dict.fromkeys(items))


def http_url(text: str) -> str:
    """The URL, when a check can ask for it. Raises ValueError."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0 or parts.username is not None:
        raise ValueError("an http or https URL without a login")
    if re.search(r"[^\x21-\x7e]", text):
        raise ValueError("a URL has printable ASCII characters only")
    return text


def not_given() -> Any:
    """Stands for a member that was left out; only `model_fields_set` tells."""
    return None


Name = Annotated[
    str,
    Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f\s]([^\x00-\x1f\x7f]*[^\x00-\x1f\x7f\s])?$"),
]
Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$", description="ISO 3166-1 alpha-2", examples=["DE"])]
LabelKey = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[^\x00-\x1f\x7f:]+$")]
LabelValue = Annotated[str, Field(max_length=255, pattern=PRINTABLE)]
Labels = Annotated[dict[LabelKey, LabelValue], Field(max_length=64)]
LabelPatch = Annotated[
    dict[LabelKey, LabelValue | None],
    Field(max_length=64, description="merged into what there is; null removes a label (RFC 7396)"),
]
NodeIp = Annotated[str, Field(max_length=64), AfterValidator(node_ip)]
PortRange = Annotated[
    str, Field(pattern=r"^[0-9]{1,5}-[0-9]{1,5}$", examples=["20000-29999"]), AfterValidator(port_range)
]
Networks = Annotated[list[Network], Field(max_length=256), AfterValidator(distinct)]
ExitAddress = Annotated[str, Field(max_length=64), AfterValidator(exit_address)]
Prefix = Annotated[str, Field(max_length=64, examples=["2001:db8:1::/64"]), AfterValidator(ipv6_prefix)]
Instant = Annotated[AwareDatetime, AfterValidator(instant), PlainSerializer(rfc_3339, return_type=str)]
Turns = Annotated[
    list[Turn],
    Field(
        min_length=1,
        max_length=4,
        description="exit: another declared address, or all sessions forgotten; credentials: user name and password; "
        "port: another one of the node's range; node: another node. Several at once are one change",
    ),
    AfterValidator(distinct),
]
Overlap = Annotated[int, Field(ge=0, le=604_800)]
NodeIds = Annotated[list[Id], Field(min_length=1, max_length=1000), AfterValidator(distinct)]
Challenge = Annotated[str, Field(max_length=64, repr=False), AfterValidator(known_challenge)]


class Wish(BaseModel):
    """A JSON body: nothing unknown, nothing of a wrong type."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    def given(self) -> dict[str, Any]:
        """The members that were really in the body."""
        return self.model_dump(exclude_unset=True)


class NewLocation(Wish):
    """A location to be made."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Frankfurt", "country": "DE"}]})

    name: Name
    country: Country | None = None
    labels: Labels = Field(default_factory=dict[str, str])


class LocationChanges(Wish):
    """What shall be otherwise of a location."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"labels": {"tier": "gold", "old": None}}]})

    name: Name = Field(default_factory=not_given)
    country: Country | None = Field(default_factory=not_given)
    labels: LabelPatch = Field(default_factory=not_given)


class NewNode(Wish):
    """A waiting node to be enrolled, by the challenge that it shows."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"ip": "203.0.113.7", "challenge": "7KQ2-M0XA-9T4R-WD3E-5HJN-8VBC-6PRZ"}]}
    )

    ip: NodeIp
    challenge: Challenge
    port: Port = Field(default=ENROL_PORT, description="where the waiting node listens")
    name: Name | None = Field(default=None, description="drawn when none is given")
    location_id: Id | None = None
    labels: Labels = Field(default_factory=dict[str, str])


class LimitChanges(Wish):
    """What shall be otherwise of a node's limits."""

    max_proxies: Annotated[int, Field(ge=0, le=60000)] = Field(default_factory=not_given)
    ports: PortRange = Field(default_factory=not_given)


class NodeExitWish(Wish):
    """By what a node's proxies may leave it."""

    addresses: Annotated[list[ExitAddress], Field(max_length=1000), AfterValidator(distinct)] = Field(
        default_factory=not_given, description="local addresses besides those that the node has told"
    )
    ipv6_prefixes: Annotated[list[Prefix], Field(max_length=64), AfterValidator(distinct)] = Field(
        default_factory=not_given,
        description="IPv6 networks that are routed to the node; the first is drawn from when a proxy names none",
    )


class NodeChanges(Wish):
    """What shall be otherwise of a node."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"state": "draining", "limits": {"max_proxies": 500}},
                {"exits": {"ipv6_prefixes": ["2001:db8:1::/64"]}},
                {"state": "draining", "move": True, "overlap_s": 30},
            ]
        }
    )

    name: Name = Field(default_factory=not_given)
    ip: NodeIp = Field(default_factory=not_given)
    location_id: Id | None = Field(default_factory=not_given)
    labels: LabelPatch = Field(default_factory=not_given)
    state: NodeState = Field(default_factory=not_given)
    limits: LimitChanges = Field(default_factory=not_given)
    exits: NodeExitWish = Field(default_factory=not_given)
    move: bool = Field(
        default_factory=not_given,
        description="of a draining node: its proxies move to other nodes, make before break; false: no more of them",
    )
    overlap_s: Overlap = Field(
        default_factory=not_given, description="with move: the former endpoint serves on for so long: 60 s"
    )
    node_ids: NodeIds = Field(
        default_factory=not_given,
        description="with move: to these; to those of the node's location when none are named",
    )

    def given(self) -> dict[str, Any]:
        """What is a setting of the node; a move is not."""
        return {name: value for name, value in super().given().items() if name not in ("move", "overlap_s", "node_ids")}


class ReplaceWish(Wish):
    """A waiting box that takes a node over, by the challenge that it shows."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"ip": "203.0.113.9", "challenge": "7KQ2-M0XA-9T4R-WD3E-5HJN-8VBC-6PRZ"}]}
    )

    ip: NodeIp
    challenge: Challenge
    port: Port = Field(default=ENROL_PORT, description="where the waiting box listens")


class RebalanceWish(Wish):
    """How a location shall be balanced."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"overlap_s": 30, "most": 50}]})

    overlap_s: Overlap = Field(default=60, description="each former endpoint serves on for so long")
    most: Annotated[int, Field(ge=1, le=1000)] = Field(default=100, description="at most so many moves")


class SyncWish(Wish):
    """Compare a node with the database now."""

    confirm: bool = Field(default=False, description="lets a list pass that the node holds")


class ExitWish(Wish):
    """Where connections shall leave the node; null takes a member back."""

    mode: ExitMode = Field(
        default_factory=not_given,
        description="address: this local address of the node; ipv6_random: a fresh address for each connection; "
        "ipv6_session: one for each session, that is for each user name `username-session-ID`",
    )
    address: ExitAddress | None = Field(default_factory=not_given, description="of mode address")
    prefix: Prefix | None = Field(
        default_factory=not_given, description="of the random modes; the node's first prefix when none is given"
    )
    session_ttl_s: Annotated[int, Field(ge=1, le=86_400)] | None = Field(
        default_factory=not_given, description="how long a session keeps its address after its last connection"
    )


class LimitWish(Wish):
    """What the proxy may be used for at most; null takes a limit away."""

    connections: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        default_factory=not_given, description="open at once"
    )
    bandwidth_bps: Annotated[int, Field(ge=8_000, le=10**12)] | None = Field(
        default_factory=not_given, description="bits per second in each direction, over all connections"
    )
    traffic_bytes: Annotated[int, Field(ge=1, le=MAX_BIGINT)] | None = Field(
        default_factory=not_given, description="both directions together; when they are spent, the state is limited"
    )
    traffic_period: TrafficPeriod = Field(
        default_factory=not_given, description="in which traffic_bytes are counted: ever, or each UTC day or month"
    )
    expires_at: Instant | None = Field(
        default_factory=not_given, description="from then on nobody is served and the state is expired"
    )


class ScheduleWish(Wish):
    """When and how a proxy is rotated by itself; null takes a member back."""

    every_s: Annotated[int, Field(ge=10, le=31_536_000)] | None = Field(
        default_factory=not_given, description="from one turn to the next"
    )
    jitter_s: Annotated[int, Field(ge=0, le=31_536_000)] | None = Field(
        default_factory=not_given, description="by up to so much each turn comes later, drawn anew each time"
    )
    what: Turns | None = Field(default_factory=not_given)
    overlap_s: Overlap | None = Field(
        default_factory=not_given, description="the former endpoint serves on for so long: 60 s or half of every_s"
    )


class RotateWish(Wish):
    """What of a proxy shall be otherwise, make before break."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"what": ["credentials", "port"], "overlap_s": 30}, {"what": ["node"]}]}
    )

    what: Turns
    overlap_s: Overlap = Field(
        default=60, description="the former port, login or node serves on for so long; 0 ends it at once"
    )
    node_ids: Annotated[list[Id], Field(min_length=1, max_length=1000), AfterValidator(distinct)] | None = Field(
        default=None, description="with node: to one of these; to one of the same location when none are named"
    )


class CheckWish(Wish):
    """Go through the proxy once."""

    target: Annotated[str, Field(max_length=2048), AfterValidator(http_url)] | None = Field(
        default=None, description='http or https URL; an address in its answer, bare or as {"ip": ...}, is the exit_ip'
    )


class ProxyWish(Wish):
    """What a proxy to be made shall be like, and where it may be."""

    location_id: Id | None = None
    node_ids: Annotated[list[Id], Field(min_length=1, max_length=1000), AfterValidator(distinct)] | None = None
    protocol: Protocol = "mixed"
    username: Username | None = Field(default=None, description="drawn unless allow_ips is given; null: no login")
    password: Password | None = Field(default=None, repr=False, description="drawn when there is a user name")
    allow_ips: Networks = Field(default_factory=list[str])
    engine: EngineName = "builtin"
    exit: ExitWish = Field(default_factory=ExitWish)
    limits: LimitWish = Field(default_factory=LimitWish)
    rotation: ScheduleWish = Field(default_factory=ScheduleWish, description="by itself, on a schedule")
    enabled: bool = True
    labels: Labels = Field(default_factory=dict[str, str])


class NewProxy(ProxyWish):
    """A proxy to be placed on a node of the location, on one of the named nodes, or on one that is both."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"location_id": 1},
                {"node_ids": [1, 2], "protocol": "socks5", "port": 20080},
                {"location_id": 1, "limits": {"traffic_bytes": 10**9, "traffic_period": "month"}},
            ]
        }
    )

    name: Name | None = None
    port: Port | None = Field(default=None, description="the lowest free one of the node's range when none is given")


class FleetChanges(Wish):
    """What shall be otherwise of all the proxies that a filter matches."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"enabled": False, "labels": {"paused": "yes"}}]})

    protocol: Protocol = Field(default_factory=not_given)
    username: Username | None = Field(default_factory=not_given, description="null: no login, which needs allow_ips")
    password: Password = Field(default_factory=not_given, repr=False)
    allow_ips: Networks = Field(default_factory=not_given)
    engine: EngineName = Field(default_factory=not_given)
    exit: ExitWish | None = Field(default_factory=not_given, description="merged into what there is; null: the default")
    limits: LimitWish | None = Field(default_factory=not_given, description="merged into what there is; null: none")
    rotation: ScheduleWish | None = Field(
        default_factory=not_given, description="merged into what there is; null: no more by itself"
    )
    enabled: bool = Field(default_factory=not_given)
    labels: LabelPatch = Field(default_factory=not_given)


class ProxyChanges(FleetChanges):
    """What shall be otherwise of one proxy."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"password": "fresh-one", "enabled": True}]})

    name: Name | None = Field(default_factory=not_given)
    port: Port = Field(default_factory=not_given)


NESTED = ("labels", "exit", "limits", "rotation", "exits")


def merged(now: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with these changes; what has members is merged, and null removes one or all (RFC 7396)."""
    nested = {name: patched(now[name], changes[name]) for name in NESTED if name in changes}
    return {**now, **changes, **nested}


def patched(now: Mapping[str, Any], changes: Mapping[str, Any] | None) -> dict[str, Any]:
    """One level of a merge."""
    both = {**now, **changes} if changes is not None else {}
    return {key: value for key, value in both.items() if value is not None}


def differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Names of what is otherwise."""
    return sorted(name for name in after if after[name] != before[name])
