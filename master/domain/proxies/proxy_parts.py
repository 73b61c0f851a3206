"""The parts of a proxy as the API returns it: exit, limits, destinations, schedule and state."""

from datetime import datetime
from typing import Literal

from pydantic import ConfigDict, Field, JsonValue

from master.domain.proxies.options import RotationPart
from master.schemas.base import Resource
from shared.proxies import ExitMode, TrafficPeriod

CHECK: dict[str, JsonValue] = {
    "ok": True,
    "latency_ms": 41.7,
    "exit_ip": "203.0.113.7",
    "step": None,
    "reason": None,
    "at": "2026-05-01T09:40:00Z",
}
"""An example."""
PROXY: dict[str, JsonValue] = {
    "id": 17,
    "name": None,
    "location_id": 1,
    "node_id": 1,
    "stack_id": None,
    "host": "203.0.113.7",
    "port": 20000,
    "protocol": "mixed",
    "tls": False,
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
        "connections": 12,
    },
    "usage": {"now": {"rx_bps": 64_000, "tx_bps": 1_800_000}, "quota": None},
    "last_check": CHECK,
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
    """The destinations that a proxy refuses, beside the destinations that its node refuses to all."""

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
    connections: int | None = Field(
        description="Client connections that are open, as its node reported every 15 seconds. null: unknown, as with "
        "3proxy, which counts connections when they have ended, or when the node is offline."
    )


class ProxyRates(Resource):
    """The traffic of a proxy, as a mean over 15 seconds, to two significant digits."""

    rx_bps: int = Field(description="Bits per second from clients.")
    tx_bps: int = Field(description="Bits per second to clients.")


class ProxyQuota(Resource):
    """The use of a traffic limit in its present period."""

    used_bytes: int = Field(description="Bytes in both directions together, as far as nodes have reported them.")
    limit_bytes: int = Field(description="`traffic_bytes` of its limits.")


class ProxyUsage(Resource):
    """The traffic of a proxy now, and what of its quota is used. Sums by time are at `/usage`."""

    now: ProxyRates | None = Field(description="null: unknown, because the node is offline or reports no rates.")
    quota: ProxyQuota | None = Field(description="null: the traffic is not limited.")


CheckStep = Literal["connect", "login", "destination", "answer"]


class Check(Resource):
    """How far a connection through the proxy came."""

    model_config = ConfigDict(json_schema_extra={"examples": [CHECK]})

    ok: bool = Field(description="Whether the target answered.")
    latency_ms: float = Field(description="Milliseconds from the start to the target's answer, or to the failure.")
    exit_ip: str | None = Field(description="The address that the target saw, if it reports it.")
    step: CheckStep | None = Field(
        description="The step that failed. `connect`: to the proxy. `login`: at the proxy. `destination`: from the "
        "proxy to the target. `answer`: of the target."
    )
    reason: str | None = Field(description="Why the step failed.")
    at: datetime = Field(description="The time of the check.")
