"""The bodies, queries and resources of proxies.

Longer than most modules because each model documents its members and carries the example that the API shows.
"""

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from ipaddress import ip_address
from typing import Annotated, Literal, Self
from urllib.parse import quote

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from master.domain.proxies.export.template import FIELDS, ExportFormat, checked_template
from master.domain.proxies.options import DestinationOptions, ExitOptions, LimitOptions, ScheduleOptions
from master.domain.proxies.proxy_parts import (
    PROXY,
    Check,
    ProxyDestinations,
    ProxyExit,
    ProxyLimits,
    ProxyQuota,
    ProxyRates,
    ProxyRotation,
    ProxyState,
    ProxyStatus,
    ProxyUsage,
)
from master.schemas.base import Query, RequestBody, Resource, Row, SecretsQuery, Text, omitted
from master.schemas.dry_run import DryRunnable, TimedWrite
from master.schemas.fields import (
    LabelPatch,
    Labels,
    LocationName,
    Name,
    Networks,
    NodeIds,
    NodeNames,
)
from master.schemas.filters import LabelFilter, Many, SearchText, any_of, none_of
from master.schemas.pages import Page
from master.schemas.secrets import SECRET
from master.schemas.sorting import Sort, Sorted
from master.schemas.timestamps import Timestamp
from shared.proxies import MAX_BIGINT, EngineName, Id, Password, Port, Protocol, Username


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
    tls: bool = Field(
        description="Whether clients speak TLS to the proxy, with the certificate `tls_certificate` of its node. On a "
        "port of protocol `mixed` they may also go without."
    )
    username: str | None = Field(description="null: clients need no login.")
    password: Annotated[str | None, SECRET] = Field(
        repr=False, description="null for a token without the scope `secrets`, as `urls` is."
    )
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
    usage: ProxyUsage
    last_check: Check | None = Field(description="The last check of the proxy. null: it was never checked.")
    urls: Annotated[list[str] | None, SECRET] = Field(
        repr=False, description="The proxy as URLs, with the login, one for each protocol."
    )
    created_at: datetime
    updated_at: datetime

    def without_secrets(self) -> Self:
        """Return the proxy with null for its secrets."""
        return self.model_copy(update={"password": None, "urls": None})


def proxy_from_row(row: Row) -> Proxy:
    """Make a proxy out of a row of `proxy_resources`."""
    status = {name: row[name] for name in ProxyStatus.model_fields}
    columns = {name: row[name] for name in PROXY_COLUMNS}
    exit_ = {name: value for name, value in row["exit"].items() if name in ProxyExit.model_fields}
    rotation = {**row["rotation"], "next_at": row["next_at"]} if row["rotation"] else None
    return Proxy.model_validate(
        {**columns, "exit": exit_, "rotation": rotation, "status": status, "usage": usage_of(row), "urls": urls(row)}
    )


PROXY_COLUMNS = tuple(
    name for name in Proxy.model_fields if name not in ("exit", "rotation", "status", "usage", "urls")
)


def usage_of(row: Row) -> ProxyUsage:
    """Make the usage out of a row of `proxy_resources`."""
    now = None if row["rx_bps"] is None else ProxyRates(rx_bps=row["rx_bps"], tx_bps=row["tx_bps"])
    limit_bytes = row["quota_limit"]
    quota = None if limit_bytes is None else ProxyQuota(used_bytes=row["quota_used"], limit_bytes=limit_bytes)
    return ProxyUsage(now=now, quota=quota)


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

    location_id: Many[Id] = any_of("Only proxies on nodes of this location.")
    location: Many[Name] = any_of("The name of the location, instead of `location_id`.")
    node_id: Many[Id] = any_of("Only proxies on this node.")
    node: Many[Name] = any_of("The name of the node, instead of `node_id`.")
    stack_id: Many[Id] = any_of("Only proxies of this stack.")
    stack: Many[Name] = any_of("The name of the stack, instead of `stack_id`.")
    protocol: Many[Protocol] = any_of("Only proxies of this protocol.")
    engine: Many[EngineName] = any_of("Only proxies that this engine runs.")
    enabled: Many[bool] = any_of("Only proxies that are enabled, or only those that are not.")
    state: Many[ProxyState] = any_of("Only proxies in this state.")
    reason: Many[Text] = any_of("Only proxies with this reason of their state.")
    port: Many[Port] = any_of("Only proxies on this port.")
    name: Many[Text] = any_of("Only the proxy with this name.")
    username: Many[Text] = any_of("Only proxies with this user name.")
    q: SearchText = Field(
        default=None,
        description="Only proxies whose name, user name or host begins with this text, in any case, or whose id it is.",
    )
    expires_before: Timestamp | None = Field(
        default=None, description="Only proxies that expire before this time. Those without an expiry never do."
    )
    expires_after: Timestamp | None = Field(
        default=None, description="Only proxies that expire after this time, or never."
    )
    created_since: Timestamp | None = Field(
        default=None, description="Only proxies that were created at this time or later."
    )
    updated_since: Timestamp | None = Field(
        default=None, description="Only proxies that were changed at this time or later."
    )
    quota_from: Annotated[int, Field(ge=0, le=1000)] | None = Field(
        default=None,
        description="Only proxies that have used at least this percentage of `traffic_bytes` in its present period.",
    )
    not_location_id: Many[Id] = none_of("location_id")
    not_location: Many[Name] = none_of("location")
    not_node_id: Many[Id] = none_of("node_id")
    not_node: Many[Name] = none_of("node")
    not_stack_id: Many[Id] = none_of("stack_id")
    not_stack: Many[Name] = none_of("stack")
    not_protocol: Many[Protocol] = none_of("protocol")
    not_engine: Many[EngineName] = none_of("engine")
    not_enabled: Many[bool] = none_of("enabled")
    not_state: Many[ProxyState] = none_of("state")
    not_reason: Many[Text] = none_of("reason")
    not_port: Many[Port] = none_of("port")
    not_name: Many[Text] = none_of("name")
    not_username: Many[Text] = none_of("username")


ProxySort = Literal[Sort, "expires_at", "-expires_at"]


class ProxyList(SecretsQuery, Sorted[ProxySort], ProxyFilter):
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


class ProxyOptions(RequestBody):
    """The options of new proxies."""

    location_id: Id | None = Field(default=None, description="The location in which to place it.")
    location: LocationName = None
    node_ids: NodeIds | None = Field(default=None, description="The nodes on one of which to place it.")
    nodes: NodeNames = None
    protocol: Protocol = Field(default="mixed", description="`mixed`: HTTP and SOCKS5 on the same port.")
    tls: bool = Field(
        default=False,
        description="Whether clients speak TLS to the proxy (an `https://` proxy), so that nobody on their way reads "
        "logins and destinations. On a port of protocol `mixed`, clients without TLS are served, too. Only the "
        "`builtin` engine can do this.",
    )
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
    tls: bool = Field(default_factory=omitted, description="Whether clients speak TLS to the proxy.")
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
    """A page of proxies."""


class FleetNode(Resource):
    """The numbers of proxies on one node."""

    node_id: int
    matched: int = Field(description="The number of its proxies that the filter matched.")
    changed: int = Field(description="The number of these that changed.")


class FleetOutcome(Resource):
    """The result of a change by filter."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"matched": 3, "changed": 3, "by_node": [{"node_id": 1, "matched": 3, "changed": 3}]}]
        }
    )

    matched: int = Field(description="The number of proxies that the filter matched.")
    changed: int = Field(description="The number of these that changed.")
    by_node: list[FleetNode] = Field(description="The same numbers for each node, by id.")


SCHEMES: Mapping[tuple[Protocol, bool], tuple[str, ...]] = {
    ("http", False): ("http",),
    ("socks5", False): ("socks5",),
    ("mixed", False): ("http", "socks5"),
    ("http", True): ("https",),
    ("socks5", True): ("socks5+tls",),
    ("mixed", True): ("https", "socks5"),
}
"""The schemes of URLs by protocol and TLS. No standard names SOCKS inside TLS; clients that speak it know this name. A
mixed port speaks SOCKS without TLS as well, as most clients do."""


@lru_cache(4096)
def bracketed(host: str) -> str:
    """Return a name or address as it is written in a URL (RFC 3986 §3.2.2)."""
    try:
        return f"[{host}]" if ip_address(host).version == 6 else host
    except ValueError:
        return host


def urls(row: Row) -> list[str]:
    """Return the URLs by which clients use the proxy, one for each scheme that it speaks."""
    schemes = SCHEMES[row["protocol"], row["tls"]]
    host = bracketed(row["host"])
    login = f"{quote(row['username'], safe='')}:{quote(row['password'], safe='')}@" if row["username"] else ""
    return [f"{scheme}://{login}{host}:{row['port']}" for scheme in schemes]
