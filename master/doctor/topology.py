"""Findings about the broker's topology: the desired exchanges, queues and logins against the actual ones. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.doctor.findings import Finding, ok, problem, some, warning

Parts = Mapping[str, Sequence[Mapping[str, Any]]]

RESTORE = "start (or restart) a master: it restores all of it whenever it connects"


@dataclass(frozen=True, kw_only=True, slots=True)
class Topology:
    """Exchanges, queues, bindings and logins by name; `logins` maps to password hashes, permissions to patterns."""

    exchanges: Mapping[str, str]
    queues: Mapping[str, Mapping[str, Any]]
    bindings: frozenset[tuple[str, str, str]]
    logins: Mapping[str, str] = field(repr=False)
    permissions: Mapping[str, tuple[str, ...]]
    topic_permissions: Mapping[str, tuple[str, ...]]


def topology(parts: Parts) -> Topology:
    """Build a topology from definitions to import, or from lists of the management API, which have the same members."""
    return Topology(
        exchanges={each["name"]: each["type"] for each in parts["exchanges"]},
        queues={each["name"]: each["arguments"] for each in parts["queues"]},
        bindings=frozenset((each["source"], each["destination"], each["routing_key"]) for each in parts["bindings"]),
        logins={each["name"]: each["password_hash"] for each in parts["users"]},
        permissions={each["user"]: (each["configure"], each["write"], each["read"]) for each in parts["permissions"]},
        topic_permissions={
            each["user"]: (each["exchange"], each["write"], each["read"]) for each in parts["topic_permissions"]
        },
    )


def topology_findings(desired: Topology, actual: Topology) -> list[Finding]:
    """Compare exchanges, queues, bindings and the nodes' logins. One finding if all is well or nothing exists yet."""
    if not desired.logins and not any(name in actual.exchanges for name in desired.exchanges):
        text = "nothing has been created on the broker yet"
        return [warning("broker topology", text, "start a master: it creates everything when it connects")]
    found = [
        *missing_findings(desired, actual),
        *login_findings(desired, actual),
        *permission_findings(desired, actual),
    ]
    shape = f"{len(desired.exchanges)} exchanges, {len(desired.queues)} queues, {len(desired.logins)} nodes' logins"
    return found or [ok("broker topology", f"{shape} are there with the right permissions")]


def missing_findings(desired: Topology, actual: Topology) -> list[Finding]:
    """Find missing or different exchanges, queues and bindings."""
    exchanges = [name for name, kind in desired.exchanges.items() if actual.exchanges.get(name) != kind]
    queues = [name for name in desired.queues if name not in actual.queues]
    bindings = [f"{source} to {queue}" for source, queue, _ in sorted(desired.bindings - actual.bindings)]
    found = [
        problem(f"broker {what}", f"missing or of another kind: {some(names)}", RESTORE)
        for what, names in (("exchanges", exchanges), ("queues", queues), ("bindings", bindings))
        if names
    ]
    other = [name for name, arguments in desired.queues.items() if differs(arguments, actual.queues.get(name))]
    if other:
        advice = f"delete them in the management UI (their messages can be lost without harm), then {RESTORE}"
        found.append(warning("broker queues", f"arguments differ from this program's: {some(other)}", advice))
    return found


def differs(desired: Mapping[str, Any], actual: Mapping[str, Any] | None) -> bool:
    """Return whether a queue lacks an argument. Its type is the operator's choice."""
    if actual is None:
        return False
    return any(actual.get(name) != value for name, value in desired.items() if name != "x-queue-type")


def login_findings(desired: Topology, actual: Topology) -> list[Finding]:
    """Find nodes whose login is missing or has another password, and logins of removed nodes."""
    found: list[Finding] = []
    missing = [name for name in desired.logins if name not in actual.logins]
    if missing:
        found.append(problem("broker logins", f"missing: {some(missing)}; these nodes are refused", RESTORE))
    other = [name for name, hash_ in desired.logins.items() if actual.logins.get(name, hash_) != hash_]
    if other:
        text = f"another password than in the database: {some(other)}"
        advice = f"{RESTORE}; if such a node is refused then, enrol it again (`maybe-node forget` on it, POST /nodes)"
        found.append(problem("broker logins", text, advice))
    strays = [name for name in actual.permissions if name.startswith("node-") and name not in desired.logins]
    if strays:
        text = f"of nodes that the database does not know: {some(strays)}"
        advice = "a master removes them when it connects; if two clusters share this broker, give each its own"
        found.append(warning("broker logins", text, advice))
    return found


def permission_findings(desired: Topology, actual: Topology) -> list[Finding]:
    """Find nodes with fewer or more permissions than they should have."""
    wrong = [
        name
        for name, patterns in desired.permissions.items()
        if name in actual.logins
        and (
            actual.permissions.get(name) != patterns
            or actual.topic_permissions.get(name) != desired.topic_permissions[name]
        )
    ]
    if not wrong:
        return []
    text = f"these differ from the desired ones: {some(wrong)}; such nodes can do too little or too much"
    return [problem("broker permissions", text, RESTORE)]
