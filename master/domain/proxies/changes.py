"""A change of a proxy, and the checks that its node can carry it out. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from master.db.database import Row
from master.domain.events.log import NewEvent
from master.errors import PreconditionFailed, engine_missing, exit_missing
from master.placement.candidates import exit_obstacle
from master.schemas.merge_patch import differing

SETTINGS = (
    "name",
    "port",
    "protocol",
    "username",
    "password",
    "allow_ips",
    "engine",
    "exit",
    "limits",
    "destinations",
    "rotation",
    "enabled",
    "labels",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ProxyChange:
    """A proxy's present row and its new settings."""

    row: Row
    after: Mapping[str, Any]

    @property
    def changed(self) -> list[str]:
        """The names of the settings that differ."""
        return differing(settings(self.row), self.after)

    @property
    def stops_proxy(self) -> bool:
        """Whether the node has to stop the proxy."""
        return self.row["enabled"] and not self.after["enabled"] and self.row["node_state"] != "disabled"


def check_engines(nodes: Sequence[Row], changes: Sequence[ProxyChange]) -> None:
    """Check that nodes have the new engines of their proxies. Raises EngineMissing."""
    engines = {node["id"]: node["engines"] for node in nodes}
    for engine in {one.after["engine"] for one in changes if one.after["engine"] != one.row["engine"]}:
        exit_obstacle = {one.row["node_id"] for one in changes if engine not in engines[one.row["node_id"]]}
        if exit_obstacle:
            raise engine_missing(engine, exit_obstacle)


def check_exits(nodes: Sequence[Row], changes: Sequence[ProxyChange]) -> None:
    """Check that nodes can provide the new exits of their proxies. Raises ExitMissing."""
    rows = {node["id"]: node for node in nodes}
    reasons: dict[int, str] = {}
    for one in changes:
        node = rows[one.row["node_id"]]
        reason = exit_obstacle(one.after["exit"], node["local_addresses"], node["ipv6_prefixes"])
        if reason is not None and "exit" in one.changed:
            reasons[node["id"]] = reason
    if reasons:
        raise exit_missing([(rows[id_], reason) for id_, reason in reasons.items()])


def check_version(row: Row, versions: frozenset[int] | None) -> None:
    """Check that the proxy is at one of these versions; None allows any. Raises PreconditionFailed."""
    if versions is not None and row["version"] not in versions:
        detail = f"proxy {row['id']} is at version {row['version']}"
        raise PreconditionFailed(detail, {"version": row["version"]})


def settings(row: Row) -> dict[str, Any]:
    """Return the settings of a proxy that a request may change."""
    return {name: row[name] for name in SETTINGS}


def updated_event(one: ProxyChange, version: int) -> NewEvent:
    """Return the event of a change."""
    details = {"changed": one.changed, "version": version}
    return NewEvent(type="proxy.updated", proxy_id=one.row["id"], node_id=one.row["node_id"], details=details)
