"""The bodies, queries and resources of proxies."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, JsonValue, model_validator

from master.domain.proxies.export_template import FIELDS, ExportFormat, checked_template
from master.domain.proxies.options import DestinationOptions, ExitOptions, LimitOptions, RotationPart, ScheduleOptions
from master.domain.proxies.urls import urls
from master.schemas.base import LabelFilter, Paging, Query, RequestBody, Resource, Row, Text, filter_parameters, omitted
from master.schemas.dry_run import DryRunnable, TimedWrite
from master.schemas.fields import (
    LabelPatch,
    Labels,
    LocationName,
    Name,
    Networks,
    NodeIds,
    NodeName,
    NodeNames,
    StackNamed,
)
from master.schemas.pages import Page
from shared.proxies import MAX_BIGINT, EngineName, ExitMode, Id, Password, Port, Protocol, TrafficPeriod, Username

PROXY: dict[str, JsonValue] = {
    "id": 17,
    "name": None,
    "location_id": 1,
    "node_id": 1,
    "stack_id": None,
    "host": "203.0.113.7",
    "port": 20000,
    "protocol": "mixed",
    "username": "k3v9x2",
    "password": "p4ssw0rd",
    "allow_ips": [],
    "engine": "builtin",
    "exit": {"mode": "default", "address": None, "prefix": None, "session_ttl_s": None},
    "limits": {
        "connections": None,
        "bandwidth_bps": None,
        "traffic_bytes": None,
        "traffic_period": "total",
        "expires_at": None,
    },
    "destinations": {"deny_ports": [], "allow_ports": [], "deny_hosts": []},
    "rotation": None,
    "enabled": True,
    "labels": {},
    "version": 1,
    "status": {
        "state": "running",
        "reason": None,
        "observed_version": 1,
        "observed_at": "2026-05-01T09:31:00Z",
    },
    "urls": ["http://k3v9x2:p4ssw0rd@203.0.113.7:20000"],
    "created_at": "2026-05-01T09:30:00Z",
    "updated_at": "2026-05-01T09:30:00Z",
}
"""An example."""

ProxyState = Literal["pending", "running", "failed", "stopped", "limited", "expired", "unknown"]


class ProxyExit(Resource):
    """The exit by which a proxy's connections leave its node."""

    mode: ExitMode = Field(
        default="default",
        description="`default`: the address that the node's system chooses. `address`: the local address in `address`. "
        "`ipv6_random`: a new random address for each connection. `ipv6_session`: one for each session.",
    )
    address: str | None = Field(default=None, description="The local address of mode `address`.")
    prefix: str | None = Field(default=None, description="The IPv6 network of the random modes.")
    session_ttl_s: int | None = Field(
        default=None, description="Seconds for which a session keeps its address after its last connection."
    )


class ProxyLimits(Resource):
    """The limits of a proxy; null is no limit."""

    connections: int | None = Field(default=None, description="The most connections that are open at once.")
    bandwidth_bps: int | None = Field(default=None, description="The most bits per second in each direction.")
    traffic_bytes: int | None = Field(default=None, description="The quota: bytes in both directions together.")
    traffic_period: TrafficPeriod = Field(
        default="total", description="The period of the quota: `total`, or each UTC `day` or `month`."
    )
    expires_at: datetime | None = Field(default=None, description="The time from which clients are refused.")


class ProxyDestinations(Resource):
    """The destinations that a proxy refuses, beside those that its node refuses to all."""

    deny_ports: list[int | str] = Field(
        default_factory=list[int | str], description="The ports that are refused: numbers and ranges `from-to`."
    )
    allow_ports: list[int | str] = Field(
        default_factory=list[int | str],
        description="The only ports that are allowed. Empty: all but those that the node refuses.",
    )
    deny_hosts: list[str] = Field(
        default_factory=list[str],
        description="The hosts that are refused: names with their subdomains, addresses and networks.",
    )


class ProxyRotation(Resource):
    """The schedule on which a proxy is rotated."""

    every_s: int = Field(description="Seconds from one rotation to the next.")
    jitter_s: int = Field(description="The most seconds by which a rotation is delayed at random.")
    what: list[RotationPart] = Field(description="The parts that change.")
    overlap_s: int = Field(description="Seconds for which the former endpoint continues to serve.")
    next_at: datetime = Field(description="The time of the next rotation.")


class ProxyStatus(Resource):
    """The state of a proxy, as its node reported it last."""

    state: ProxyState = Field(
        description="`pending`: the node has not confirmed it yet. `failed`: it cannot run. `stopped`: it is not "
        "enabled. "
        "`limited`: its quota is spent. `unknown`: its node is offline."
    )
    reason: str | None = Field(description="Why the proxy does not run.")
    observed_version: int | None = Field(description="The version that runs, if it is known.")
    observed_at: datetime | None = Field(description="The time of the report.")


class Proxy(Resource):
    """A proxy server on a node."""

    model_config = ConfigDict(json_schema_extra={"examples": [PROXY]})

    id: int
    name: str | None = Field(description="Unique among the proxies that have a name.")
    location_id: int | None = Field(description="The location of its node.")
    node_id: int
    stack_id: int | None = Field(description="The stack that it belongs to. null: none.")
    host: str = Field(description="The `ip` of its node.")
    port: int
    protocol: Protocol = Field(description="`mixed`: HTTP and SOCKS5 on the same port.")
    username: str | None = Field(description="null: clients need no login.")
    password: str | None = Field(repr=False)
    allow_ips: list[str] = Field(description="Addresses and networks of clients that are served. Empty: any.")
    engine: EngineName
    exit: ProxyExit
    limits: ProxyLimits
    destinations: ProxyDestinations
    rotation: ProxyRotation | None = Field(description="null: no schedule.")
    enabled: bool = Field(description="Whether the proxy runs.")
    labels: dict[str, str] = Field(description="Texts of your choice by name, to filter by.")
    version: int = Field(description="Grows with every change. It is the ETag.")
    status: ProxyStatus
    urls: list[str] = Field(repr=False, description="The proxy as URLs, with the login, one for each protocol.")
    created_at: datetime
    updated_at: datetime


def proxy_from_row(row: Row) -> Proxy:
    """Make a proxy out of a row of `proxy_resources`."""
    status = ProxyStatus(**{name: row[name] for name in ("state", "reason", "observed_version", "observed_at")})
    columns = {name: row[name] for name in PROXY_COLUMNS}
    exit_ = {name: value for name, value in row["exit"].items() if name in ProxyExit.model_fields}
    rotation = {**row["rotation"], "next_at": row["next_at"]} if row["rotation"] else None
    return Proxy.model_validate({**columns, "exit": exit_, "rotation": rotation, "status": status, "urls": urls(row)})


PROXY_COLUMNS = tuple(name for name in Proxy.model_fields if name not in ("exit", "rotation", "status", "urls"))


ExportTemplate = Annotated[Text, AfterValidator(checked_template)]


RawFlag = Annotated[
    bool,
    Field(
        description="If true, CSV has every value as it is, for programs. By default a value that begins with = + - or "
        "@ "
        "gets a ' before it, passwords too, so that a spreadsheet does not run it as a formula."
    ),
]


class ProxyFilter(LabelFilter):
    """A filter of proxies; a proxy must match all of its members."""

    location_id: Id | None = Field(default=None, description="Only proxies on nodes of this location.")
    location: LocationName = None
    node_id: Id | None = Field(default=None, description="Only proxies on this node.")
    node: NodeName = None
    stack_id: Id | None = Field(default=None, description="Only proxies of this stack.")
    stack: StackNamed = None
    protocol: Protocol | None = Field(default=None, description="Only proxies of this protocol.")
    engine: EngineName | None = Field(default=None, description="Only proxies that this engine runs.")
    enabled: bool | None = Field(default=None, description="Only proxies that are enabled, or only those that are not.")
    state: ProxyState | None = Field(default=None, description="Only proxies in this state.")
    port: Port | None = Field(default=None, description="Only proxies on this port.")
    name: Text | None = Field(default=None, description="Only the proxy with this name.")
    username: Text | None = Field(default=None, description="Only proxies with this user name.")


class ProxyList(ProxyFilter, Paging):
    """A page of proxies."""


PLACEHOLDERS = ", ".join(f"{{{name}}}" for name in FIELDS)


class ProxyExport(ProxyFilter):
    """All proxies that the filter matches, and the form in which to write them."""

    format: ExportFormat = Field(default="plain", description="The format of the file.")
    template: ExportTemplate | None = Field(
        default=None,
        description=f"The form of a line, instead of `format`, with any of {PLACEHOLDERS}. Literal braces are doubled.",
        examples=["{host}:{port}:{username}:{password}"],
    )

    raw: RawFlag = False

    @model_validator(mode="after")
    def one_form(self) -> Self:
        """Raises ValueError for two."""
        if self.template is not None and self.format != "plain":
            raise ValueError("a format or a template, not both")
        return self


class LinkQuery(Query):
    """The parameters of a link that lists proxies."""

    raw: RawFlag = False


class FleetFilter(ProxyFilter):
    """All proxies that the filter matches, if they are as many as expected."""

    expect: Annotated[
        int,
        Field(
            ge=0,
            le=MAX_BIGINT,
            description="The number of proxies that the filter is expected to match. If it matches another "
            "number, nothing is done.",
        ),
    ]
    all: bool = Field(default=False, description="Must be true if there is no filter.")


def is_unfiltered(question: FleetFilter) -> bool:
    """Whether the filter has no members."""
    return not any(value not in (None, []) for value in filter_parameters(question, ProxyFilter).values())


class ProxyOptions(RequestBody):
    """The options of new proxies."""

    location_id: Id | None = Field(default=None, description="The location in which to place it.")
    location: LocationName = None
    node_ids: NodeIds | None = Field(default=None, description="The nodes on one of which to place it.")
    nodes: NodeNames = None
    protocol: Protocol = Field(default="mixed", description="`mixed`: HTTP and SOCKS5 on the same port.")
    username: Username | None = Field(
        default_factory=omitted,
        description="The user name. By default one is generated, unless `allow_ips` is given. null: no login.",
    )
    password: Password | None = Field(
        default=None, repr=False, description="The password. By default one is generated if there is a user name."
    )
    allow_ips: Networks = Field(
        default_factory=list[str],
        description="Addresses and networks of clients that are served; without a user name they need no login. Empty: "
        "any client that logs in.",
    )
    engine: EngineName = Field(default="builtin", description="The engine that runs the proxy.")
    exit: ExitOptions = Field(default_factory=ExitOptions)
    limits: LimitOptions = Field(default_factory=LimitOptions)
    destinations: DestinationOptions = Field(default_factory=DestinationOptions)
    rotation: ScheduleOptions = Field(
        default_factory=ScheduleOptions, description="The schedule on which it is rotated."
    )
    enabled: bool = Field(default=True, description="Whether the proxy runs.")
    labels: Labels = Field(default_factory=dict[str, str])


class NewProxy(ProxyOptions):
    """A proxy to create on a node of the location, on one of the named nodes, or on one that is both."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"location_id": 1},
                {"location": "Frankfurt"},
                {"node_ids": [1, 2], "protocol": "socks5", "port": 20080},
                {"location_id": 1, "limits": {"traffic_bytes": 10**9, "traffic_period": "month"}},
                {"location_id": 1, "destinations": {"allow_ports": [80, 443], "deny_hosts": ["example.com"]}},
            ]
        }
    )

    name: Name | None = Field(default=None, description="A name that no other proxy has. By default it has none.")
    port: Port | None = Field(default=None, description="The port. Default: the lowest free port of the node's range.")


class FleetPatch(RequestBody):
    """A change of all proxies that a filter matches; omitted members stay as they are."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"enabled": False, "labels": {"paused": "yes"}}]})

    protocol: Protocol = Field(default_factory=omitted)
    username: Username | None = Field(
        default_factory=omitted, description="The user name. null: no login, which requires `allow_ips`."
    )
    password: Password = Field(default_factory=omitted, repr=False)
    allow_ips: Networks = Field(default_factory=omitted)
    engine: EngineName = Field(default_factory=omitted)
    exit: ExitOptions | None = Field(
        default_factory=omitted, description="Merged into the existing exit. null: the default exit."
    )
    limits: LimitOptions | None = Field(
        default_factory=omitted, description="Merged into the existing limits. null: no limits."
    )
    destinations: DestinationOptions | None = Field(
        default_factory=omitted, description="Merged into the existing destinations. null: only those of the node."
    )
    rotation: ScheduleOptions | None = Field(
        default_factory=omitted, description="Merged into the existing schedule. null: no schedule."
    )
    enabled: bool = Field(default_factory=omitted)
    labels: LabelPatch = Field(default_factory=omitted)


class ProxyPatch(FleetPatch):
    """A change of one proxy; omitted members stay as they are."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"password": "fresh-one", "enabled": True}]})

    name: Name | None = Field(default_factory=omitted)
    port: Port = Field(default_factory=omitted)


class FleetRemoveQuery(FleetFilter, DryRunnable):
    """All proxies that the filter matches, to remove."""


class FleetChangeQuery(FleetRemoveQuery, TimedWrite):
    """All proxies that the filter matches, to change."""


class ProxyPage(Page[Proxy]):
    """A page of proxies, ordered by id."""


class FleetOutcome(Resource):
    """The result of a change by filter."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"matched": 3, "changed": 3}]})

    matched: int = Field(description="The number of proxies that the filter matched.")
    changed: int = Field(description="The number of these that changed.")
