"""Proxies, as the API shows them, with what their nodes make of them."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from master.model import Row, Shown
from master.turns import Turn
from master.urls import urls
from shared.proxies import EngineName, ExitMode, Protocol, TrafficPeriod

ProxyState = Literal["pending", "running", "failed", "stopped", "limited", "expired", "unknown"]


class ProxyExit(Shown):
    """Where a proxy's connections leave its node."""

    mode: ExitMode = "default"
    address: str | None = None
    prefix: str | None = None
    session_ttl_s: int | None = None


class ProxyLimits(Shown):
    """What a proxy may be used for at most; null is no limit."""

    connections: int | None = None
    bandwidth_bps: int | None = None
    traffic_bytes: int | None = None
    traffic_period: TrafficPeriod = "total"
    expires_at: datetime | None = None


class ProxyDestinations(Shown):
    """Where a proxy's clients may not connect to, besides what its node refuses to all."""

    deny_ports: list[int | str] = Field(default_factory=list[int | str], description="numbers and ranges `from-to`")
    allow_ports: list[int | str] = Field(
        default_factory=list[int | str], description="the only ones that are not refused; empty: the node's default"
    )
    deny_hosts: list[str] = Field(default_factory=list[str], description="names with their subdomains, networks")


class ProxyRotation(Shown):
    """When and how a proxy is rotated by itself."""

    every_s: int
    jitter_s: int
    what: list[Turn]
    overlap_s: int
    next_at: datetime


class ProxyStatus(Shown):
    """What the node's latest word makes of a proxy. `limited`: its quota is spent."""

    state: ProxyState
    reason: str | None
    observed_version: int | None = Field(description="the version that runs, when that is known")
    observed_at: datetime | None


class Proxy(Shown):
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


def shown_proxy(row: Row) -> Proxy:
    """Out of a row of `shown_proxies`."""
    status = ProxyStatus(**{name: row[name] for name in ("state", "reason", "observed_version", "observed_at")})
    columns = {name: row[name] for name in PROXY_COLUMNS}
    exit_ = {name: value for name, value in row["exit"].items() if name in ProxyExit.model_fields}
    rotation = {**row["rotation"], "next_at": row["next_at"]} if row["rotation"] else None
    return Proxy.model_validate({**columns, "exit": exit_, "rotation": rotation, "status": status, "urls": urls(row)})


PROXY_COLUMNS = tuple(name for name in Proxy.model_fields if name not in ("exit", "rotation", "status", "urls"))
