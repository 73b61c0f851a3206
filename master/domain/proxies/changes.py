"""A change of proxies, and the checks that their nodes can carry it out. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from master.db.database import Row
from master.domain.events.log import NewEvent
from master.errors import PreconditionFailed, engine_missing, exit_missing
from master.placement.candidates import exit_obstacle
from master.schemas.merge_patch import differing
from shared.proxies import NodeId, ProxyId

SHARED_SETTINGS = ("protocol", "tls", "allow_ips", "engine", "exit", "limits", "destinations", "rotation", "enabled")
"""The settings that many proxies have in common."""
LOGIN = ("username", "password")
SETTINGS = ("name", "port", *SHARED_SETTINGS, *LOGIN, "labels")


class OwnLogin(str):
    """Stands for the user name or password that each proxy of a group has."""

    __slots__ = ()


OWN_LOGIN: Mapping[str, OwnLogin] = {name: OwnLogin(name) for name in LOGIN}


@dataclass(frozen=True, kw_only=True, slots=True)
class SettingsChange:
    """Present and new settings of proxies of one node that have the same ones.

    Where they are several, the settings are the shared ones: without names and ports, with the labels left empty,
    and with OWN_LOGIN in the place of their logins.
    """

    ids: Sequence[ProxyId]
    node_id: NodeId
    runs: bool
    """Whether the node is to run them now."""
    before: Mapping[str, Any] = field(repr=False)
    after: Mapping[str, Any] = field(repr=False)

    @property
    def changed(self) -> list[str]:
        """The names of the settings that differ."""
        return differing(self.before, self.after)

    @property
    def stops_proxies(self) -> bool:
        """Whether the node has to stop the proxies."""
        return self.runs and not self.after["enabled"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangeRule:
    """A change of many proxies: a function of the settings that they share, and a merge patch of their labels.

    `login` holds a user name and a password that all of them get. Any other one that the function returns is a sample:
    each proxy gets one that is drawn for it.
    """

    settings: Callable[[ProxyId, Mapping[str, Any]], dict[str, Any]]
    login: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    labels: Mapping[str, str | None] = field(default_factory=dict[str, str | None])


def change_of_group(row: Row, rule: ChangeRule) -> SettingsChange:
    """Return the change of the proxies of a row of `select_groups`. Raises Invalid."""
    ids = sorted(row["ids"])
    login: Mapping[str, str | None] = OWN_LOGIN if row["has_login"] else dict.fromkeys(LOGIN)
    before: dict[str, Any] = {**{name: row[name] for name in SHARED_SETTINGS}, **login, "labels": {}}
    after: dict[str, Any] = {**rule.settings(ids[0], before), "labels": {}}
    return SettingsChange(ids=ids, node_id=row["node_id"], runs=runs(row), before=before, after=after)


def runs(row: Row) -> bool:
    """Whether the node is to run the proxy."""
    return row["enabled"] and row["node_state"] != "disabled"


def is_drawn(name: str, change: SettingsChange, rule: ChangeRule) -> bool:
    """Whether each of the proxies gets another one of its own of this part of the login."""
    value = change.after[name]
    return value is not None and not isinstance(value, OwnLogin) and value != rule.login.get(name)


def check_engines(nodes: Iterable[Row], changes: Sequence[SettingsChange]) -> None:
    """Check that nodes have the new engines of their proxies. Raises EngineMissing."""
    engines = {node["id"]: node["engines"] for node in nodes}
    for engine in {one.after["engine"] for one in changes if one.after["engine"] != one.before["engine"]}:
        lacking = {one.node_id for one in changes if engine not in engines[one.node_id]}
        if lacking:
            raise engine_missing(engine, lacking)


def check_exits(nodes: Iterable[Row], changes: Sequence[SettingsChange]) -> None:
    """Check that nodes can provide the new exits of their proxies. Raises ExitMissing."""
    rows = {node["id"]: node for node in nodes}
    reasons: dict[int, str] = {}
    for one in changes:
        node = rows[one.node_id]
        reason = exit_obstacle(one.after["exit"], node["local_addresses"], node["ipv6_prefixes"])
        if reason is not None and one.after["exit"] != one.before["exit"]:
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


def updated_event(one: SettingsChange, version: int) -> NewEvent:
    """Return the event of a change of one proxy."""
    details = {"changed": one.changed, "version": version}
    return NewEvent(type="proxy.updated", proxy_id=one.ids[0], node_id=one.node_id, details=details)
