"""Proxies, as the API shows them, with what their nodes make of them."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

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

ProxyState = Literal["pending", "running", "failed", "stopped", "limited", "expired", "unknown"]


class ProxyExit(Resource):
    """Where a proxy's connections leave its node."""

    mode: ExitMode = "default"
    address: str | None = None
    prefix: str | None = None
    session_ttl_s: int | None = None


class ProxyLimits(Resource):
    """What a proxy may be used for at most; null is no limit."""

    connections: int | None = None
    bandwidth_bps: int | None = None
    traffic_bytes: int | None = None
    traffic_period: TrafficPeriod = "total"
    expires_at: datetime | None = None


class ProxyDestinations(Resource):
    """Where a proxy's clients may not connect to, besides what its node refuses to all."""

    deny_ports: list[int | str] = Field(default_factory=list[int | str], description="numbers and ranges `from-to`")
    allow_ports: list[int | str] = Field(
        default_factory=list[int | str], description="the only ones that are not refused; empty: the node's default"
    )
    deny_hosts: list[str] = Field(default_factory=list[str], description="names with their subdomains, networks")


class ProxyRotation(Resource):
    """When and how a proxy is rotated by itself."""

    every_s: int
    jitter_s: int
    what: list[RotationPart]
    overlap_s: int
    next_at: datetime


class ProxyStatus(Resource):
    """What the node's latest word makes of a proxy. `limited`: its quota is spent."""

    state: ProxyState
    reason: str | None
    observed_version: int | None = Field(description="the version that runs, when that is known")
    observed_at: datetime | None


class Proxy(Resource):
    """A proxy server on a node."""

    id: int
    name: str | None
    location_id: int | None = Field(description="of its node")
    node_id: int
    stack_id: int | None
    host: str = Field(description="the node's ip")
    port: int
    protocol: Protocol
    username: str | None
    password: str | None = Field(repr=False)
    allow_ips: list[str] = Field(description="networks that may use it; empty: any")
    engine: EngineName
    exit: ProxyExit
    limits: ProxyLimits
    destinations: ProxyDestinations
    rotation: ProxyRotation | None
    enabled: bool
    labels: dict[str, str]
    version: int = Field(description="grows with every change; the ETag")
    status: ProxyStatus
    urls: list[str] = Field(repr=False)
    created_at: datetime
    updated_at: datetime


def proxy_from_row(row: Row) -> Proxy:
    """Out of a row of `proxy_resources`."""
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
        description="for CSV that a program reads: every value as it is. By default a value that begins with = + - or "
        "@ gets a ' before it, passwords too, so that a spreadsheet does not run it as a formula"
    ),
]


class ProxyFilter(LabelFilter):
    """Which proxies."""

    location_id: Id | None = None
    location: LocationName = None
    node_id: Id | None = None
    node: NodeName = None
    stack_id: Id | None = None
    stack: StackNamed = None
    protocol: Protocol | None = None
    engine: EngineName | None = None
    enabled: bool | None = None
    state: ProxyState | None = None
    port: Port | None = None
    name: Text | None = None
    username: Text | None = None


class ProxyList(ProxyFilter, Paging):
    """A page of proxies."""


class ProxyExport(ProxyFilter):
    """All proxies that the filter matches, and how they shall be written."""

    format: ExportFormat = "plain"
    template: ExportTemplate | None = Field(
        default=None,
        description=f"of a line, instead of a format, with any of {', '.join(f'{{{name}}}' for name in FIELDS)}; "
        "braces that stand for themselves are doubled",
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
    """How the proxies of a link that lists are written."""

    raw: RawFlag = False


class FleetFilter(ProxyFilter):
    """All proxies that the filter matches, when there are as many as expected."""

    expect: Annotated[int, Field(ge=0, le=MAX_BIGINT, description="how many the filter is expected to match")]
    all: bool = Field(default=False, description="must be true when there is no filter")


def is_unfiltered(question: FleetFilter) -> bool:
    """Whether nothing at all is filtered by."""
    return not any(value not in (None, []) for value in filter_parameters(question, ProxyFilter).values())


class ProxyOptions(RequestBody):
    """What a proxy to be made shall be like, and where it may be."""

    location_id: Id | None = None
    location: LocationName = None
    node_ids: NodeIds | None = None
    nodes: NodeNames = None
    protocol: Protocol = "mixed"
    username: Username | None = Field(
        default_factory=omitted, description="drawn unless allow_ips is given; null: no login"
    )
    password: Password | None = Field(default=None, repr=False, description="drawn when there is a user name")
    allow_ips: Networks = Field(default_factory=list[str])
    engine: EngineName = "builtin"
    exit: ExitOptions = Field(default_factory=ExitOptions)
    limits: LimitOptions = Field(default_factory=LimitOptions)
    destinations: DestinationOptions = Field(default_factory=DestinationOptions)
    rotation: ScheduleOptions = Field(default_factory=ScheduleOptions, description="by itself, on a schedule")
    enabled: bool = True
    labels: Labels = Field(default_factory=dict[str, str])


class NewProxy(ProxyOptions):
    """A proxy to be placed on a node of the location, on one of the named nodes, or on one that is both."""

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

    name: Name | None = None
    port: Port | None = Field(default=None, description="the lowest free one of the node's range when none is given")


class FleetPatch(RequestBody):
    """What shall be otherwise of all the proxies that a filter matches."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"enabled": False, "labels": {"paused": "yes"}}]})

    protocol: Protocol = Field(default_factory=omitted)
    username: Username | None = Field(default_factory=omitted, description="null: no login, which needs allow_ips")
    password: Password = Field(default_factory=omitted, repr=False)
    allow_ips: Networks = Field(default_factory=omitted)
    engine: EngineName = Field(default_factory=omitted)
    exit: ExitOptions | None = Field(
        default_factory=omitted, description="merged into what there is; null: the default"
    )
    limits: LimitOptions | None = Field(default_factory=omitted, description="merged into what there is; null: none")
    destinations: DestinationOptions | None = Field(
        default_factory=omitted, description="merged into what there is; null: only what the node refuses"
    )
    rotation: ScheduleOptions | None = Field(
        default_factory=omitted, description="merged into what there is; null: no more by itself"
    )
    enabled: bool = Field(default_factory=omitted)
    labels: LabelPatch = Field(default_factory=omitted)


class ProxyPatch(FleetPatch):
    """What shall be otherwise of one proxy."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"password": "fresh-one", "enabled": True}]})

    name: Name | None = Field(default_factory=omitted)
    port: Port = Field(default_factory=omitted)


class FleetRemoveQuery(FleetFilter, DryRunnable):
    """All proxies that the filter matches, to be changed or removed."""


class FleetChangeQuery(FleetRemoveQuery, TimedWrite):
    """All proxies that the filter matches, to be changed."""


class ProxyPage(Page[Proxy]):
    """A page of proxies, ordered by id."""


class FleetOutcome(Resource):
    """What a change by filter did."""

    matched: int
    changed: int
