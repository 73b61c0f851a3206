"""A change of a proxy: what it is, and whether the proxy's node can do what is new."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from master.db.database import Row
from master.domain.events.log import NewEvent
from master.errors import PreconditionFailed, engine_missing, exit_missing
from master.placement.exits import lacking
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
    """A proxy's row as it is, and its settings as they shall be."""

    row: Row
    after: Mapping[str, Any]

    @property
    def changed(self) -> list[str]:
        """Names of what will be otherwise."""
        return differing(settings(self.row), self.after)

    @property
    def takes_away(self) -> bool:
        """Whether the node will no longer want it."""
        return self.row["enabled"] and not self.after["enabled"] and self.row["node_state"] != "disabled"


def check_engines(nodes: Sequence[Row], wanted: Sequence[ProxyChange]) -> None:
    """Raises EngineMissing when a new engine is not on its proxy's node."""
    engines = {node["id"]: node["engines"] for node in nodes}
    for engine in {one.after["engine"] for one in wanted if one.after["engine"] != one.row["engine"]}:
        lacking = {one.row["node_id"] for one in wanted if engine not in engines[one.row["node_id"]]}
        if lacking:
            raise engine_missing(engine, lacking)


def check_exits(nodes: Sequence[Row], wanted: Sequence[ProxyChange]) -> None:
    """Raises ExitMissing when a new exit is not one of its proxy's node."""
    rows = {node["id"]: node for node in nodes}
    lacks: dict[int, str] = {}
    for one in wanted:
        node = rows[one.row["node_id"]]
        lack = lacking(one.after["exit"], node["local_addresses"], node["ipv6_prefixes"])
        if lack is not None and "exit" in one.changed:
            lacks[node["id"]] = lack
    if lacks:
        raise exit_missing([(rows[id_], lack) for id_, lack in lacks.items()])


def check_version(row: Row, versions: frozenset[int] | None) -> None:
    """Raises PreconditionFailed."""
    if versions is not None and row["version"] not in versions:
        detail = f"proxy {row['id']} is at version {row['version']}"
        raise PreconditionFailed(detail, {"version": row["version"]})


def settings(row: Row) -> dict[str, Any]:
    """What may be changed of a proxy."""
    return {name: row[name] for name in SETTINGS}


def updated(one: ProxyChange, version: int) -> NewEvent:
    """The event of a change."""
    details = {"changed": one.changed, "version": version}
    return NewEvent(type="proxy.updated", proxy_id=one.row["id"], node_id=one.row["node_id"], details=details)
