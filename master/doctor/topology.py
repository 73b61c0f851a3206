"""What should be on the broker, what is there, and what the difference means."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.doctor.findings import Finding, ok, problem, some, warning

Parts = Mapping[str, Sequence[Mapping[str, Any]]]

REMADE = "start (or restart) a master: it makes all of it anew whenever it connects"


@dataclass(frozen=True, kw_only=True, slots=True)
class Topology:
    """By name; `logins` maps to the hash of the password, permissions to their patterns."""

    exchanges: Mapping[str, str]
    queues: Mapping[str, Mapping[str, Any]]
    bindings: frozenset[tuple[str, str, str]]
    logins: Mapping[str, str] = field(repr=False)
    permissions: Mapping[str, tuple[str, ...]]
    topic_permissions: Mapping[str, tuple[str, ...]]


def topology(parts: Parts) -> Topology:
    """Out of definitions to import, or out of lists as the management API gives them: their members are the same."""
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


def topology_findings(wanted: Topology, there: Topology) -> list[Finding]:
    """Of exchanges, queues, bindings and the nodes' logins; one when all is well or nothing has been made yet."""
    if not wanted.logins and not any(name in there.exchanges for name in wanted.exchanges):
        text = "nothing has been made on the broker yet"
        return [warning("broker topology", text, "start a master: it makes all of it when it connects")]
    found = [*missing_things(wanted, there), *login_findings(wanted, there), *permission_findings(wanted, there)]
    shape = f"{len(wanted.exchanges)} exchanges, {len(wanted.queues)} queues, {len(wanted.logins)} nodes' logins"
    return found or [ok("broker topology", f"{shape} are there with the right permissions")]


def missing_things(wanted: Topology, there: Topology) -> list[Finding]:
    """Exchanges and queues that are not there or of another kind, and bindings."""
    exchanges = [name for name, kind in wanted.exchanges.items() if there.exchanges.get(name) != kind]
    queues = [name for name in wanted.queues if name not in there.queues]
    bindings = [f"{source} to {queue}" for source, queue, _ in sorted(wanted.bindings - there.bindings)]
    found = [
        problem(f"broker {what}", f"missing or of another kind: {some(names)}", REMADE)
        for what, names in (("exchanges", exchanges), ("queues", queues), ("bindings", bindings))
        if names
    ]
    other = [name for name, arguments in wanted.queues.items() if differs(arguments, there.queues.get(name))]
    if other:
        advice = f"delete them in the management UI (nothing in them is precious), then {REMADE}"
        found.append(warning("broker queues", f"other arguments than this program's: {some(other)}", advice))
    return found


def differs(wanted: Mapping[str, Any], there: Mapping[str, Any] | None) -> bool:
    """Whether a queue lacks an argument. Its type is the operator's to choose."""
    if there is None:
        return False
    return any(there.get(name) != value for name, value in wanted.items() if name != "x-queue-type")


def login_findings(wanted: Topology, there: Topology) -> list[Finding]:
    """Nodes whose login is missing or has another password, and logins of nodes that are no more."""
    found: list[Finding] = []
    missing = [name for name in wanted.logins if name not in there.logins]
    if missing:
        found.append(problem("broker logins", f"missing: {some(missing)}; these nodes are refused", REMADE))
    other = [name for name, hash_ in wanted.logins.items() if there.logins.get(name, hash_) != hash_]
    if other:
        text = f"another password than the database knows: {some(other)}"
        advice = f"{REMADE}; if such a node is refused then, enrol it again (`maybe-node forget` on it, POST /nodes)"
        found.append(problem("broker logins", text, advice))
    strays = [name for name in there.permissions if name.startswith("node-") and name not in wanted.logins]
    if strays:
        text = f"of nodes that the database does not know: {some(strays)}"
        advice = "a master removes them when it connects; if two clusters share this broker, give each its own"
        found.append(warning("broker logins", text, advice))
    return found


def permission_findings(wanted: Topology, there: Topology) -> list[Finding]:
    """Nodes that may do less or more than they should."""
    wrong = [
        name
        for name, patterns in wanted.permissions.items()
        if name in there.logins
        and (
            there.permissions.get(name) != patterns
            or there.topic_permissions.get(name) != wanted.topic_permissions[name]
        )
    ]
    if not wrong:
        return []
    text = f"not as they should be: {some(wrong)}; these nodes can do too little or too much"
    return [problem("broker permissions", text, REMADE)]
