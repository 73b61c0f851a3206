"""Findings about the database, the nodes and the addresses. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from shared.bus.clear_text import is_loopback
from shared.doctor.findings import Finding, ok, problem, some, warning

OLDEST_POSTGRESQL = 15
CONNECTIONS_PER_MASTER = 13
"""The pool (10), the listening connection, the peer watchdog's connection, and a spare one."""
CLOCK_S = 2.0
SILENT_S = 45.0
"""Three missed reports, after which a node counts as offline (master.sync.reports)."""

ApiState = Literal["free", "master", "taken", "unusable"]


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeSeen:
    """A node by its last report. `link` is as in the API; `held` is (proxies that would stop, of how many)."""

    id: int
    name: str
    ip: str
    link: str
    silent_s: float
    count: int
    failed: int
    held: tuple[int, int] | None
    agent: str = ""
    password_hash: str = field(repr=False)

    def __str__(self) -> str:
        return f"{self.id} ({self.name})"


def server_findings(server: Mapping[str, Any]) -> list[Finding]:
    """Judge version, role and connections; `server` is the row of doctor.server."""
    return [version_finding(server["version"]), *role_findings(server), connections_finding(server)]


def version_finding(number: int) -> Finding:
    """Judge a version number such as 150004, which is 15.4."""
    text = f"{number // 10_000}.{number % 10_000}"
    if number // 10_000 < OLDEST_POSTGRESQL:
        return problem(
            "PostgreSQL version", f"{text} is too old", f"upgrade it to {OLDEST_POSTGRESQL} or newer (pg_upgrade)"
        )
    return ok("PostgreSQL version", text)


def role_findings(server: Mapping[str, Any]) -> list[Finding]:
    """Judge the role: a standby cannot be written."""
    if not server["in_recovery"]:
        return []
    return [problem("PostgreSQL role", "this server is a standby: nothing can be written", "name the primary instead")]


def connections_finding(server: Mapping[str, Any]) -> Finding:
    """Judge whether one more master can connect. The doctor's own connection is not counted."""
    most, used = server["max_connections"], max(server["connections"] - 1, 0)
    text = f"{used} of max_connections = {most} in use"
    if most - used < CONNECTIONS_PER_MASTER:
        advice = f"raise max_connections: each master takes up to {CONNECTIONS_PER_MASTER}"
        return warning("PostgreSQL connections", text, advice)
    return ok("PostgreSQL connections", text)


def schema_finding(
    applied: Mapping[int, str] | None, known: Sequence[tuple[int, str, str]], *, may_create: bool
) -> Finding:
    """Compare `applied` (checksums by version, None without a schema) with `known` (version, name, checksum)."""
    newer = sorted(set(applied or {}) - {version for version, _, _ in known})
    if newer:
        text = f"the database is newer than this program: it has step {newer[-1]}"
        return problem("schema", text, "upgrade this master to the version of the others")
    changed = [name for version, name, sha in known if (applied or {}).get(version, sha) != sha]
    if changed:
        text = f"steps have changed since they were applied: {some(changed)}"
        return problem("schema", text, "run the program that made this database, or restore it from a backup")
    missing = [name for version, name, _ in known if version not in (applied or {})]
    if missing and not may_create:
        text = f"steps are missing ({some(missing)}) and this user may create nothing in the schema"
        return problem("schema", text, "as its owner: GRANT CREATE ON SCHEMA public TO <DATABASE_USERNAME>")
    if missing:
        return warning("schema", f"steps are missing: {some(missing)}", "a master applies them when it starts")
    return ok("schema", f"at this program's level, {len(known)} steps")


def clock_finding(ahead_s: float) -> Finding:
    """Judge `ahead_s`, the database's clock minus this host's."""
    if abs(ahead_s) < CLOCK_S:
        return ok("clock", f"agrees with the database's within {max(abs(ahead_s), 0.1):.1f} s")
    way = "ahead of" if ahead_s > 0 else "behind"
    text = f"the database's clock is {abs(ahead_s):.0f} s {way} this host's"
    return warning("clock", text, "run an NTP client (chrony, systemd-timesyncd) on both hosts")


def node_findings(nodes: Sequence[NodeSeen], consumers: Mapping[int, int], *, master_runs: bool) -> list[Finding]:
    """Judge silent nodes, held lists and failures; `consumers` counts the consumers of each node's queue."""
    reporting = [node for node in nodes if node.link != "never_reported"]
    if reporting and not master_runs and all(node.silent_s > SILENT_S for node in reporting):
        text = f"none of {len(reporting)} has reported for {min(node.silent_s for node in reporting):.0f} s"
        found = [warning("nodes", text, "no master runs: start one, then run the doctor again")]
    else:
        found = silent_findings(reporting, consumers)
    found += [*never_reported_findings(nodes), *held_findings(nodes), *failure_findings(nodes)]
    return found or [ok("nodes", f"{len(nodes)} of {len(nodes)} report, nothing held back, nothing failed")]


def silent_findings(nodes: Sequence[NodeSeen], consumers: Mapping[int, int]) -> list[Finding]:
    """Judge nodes that no longer report, by whether they are connected to the broker."""
    silent = [node for node in nodes if node.silent_s > SILENT_S]
    cut = [node for node in silent if not consumers.get(node.id)]
    mute = [node for node in silent if consumers.get(node.id)]
    found: list[Finding] = []
    if cut:
        advice = "on such a host, check that it is up and that the agent runs, and run `maybe-node doctor`"
        found.append(problem("nodes", f"silent and not connected to the broker: {silence_text(cut)}", advice))
    if mute:
        text = f"silent though connected to the broker: {silence_text(mute)}"
        advice = "check that a master uses this broker (see mp.master); if the agent hangs, read its log and restart it"
        found.append(problem("nodes", text, advice))
    return found


def silence_text(nodes: Sequence[NodeSeen]) -> str:
    """List nodes with the time since their last report."""
    return some([f"node {node} for {node.silent_s:.0f} s" for node in nodes])


def never_reported_findings(nodes: Sequence[NodeSeen]) -> list[Finding]:
    """Judge nodes that were enrolled and never reported."""
    silent = [node for node in nodes if node.link == "never_reported" and node.silent_s > SILENT_S]
    if not silent:
        return []
    advice = "run `maybe-node doctor` there: most often it cannot reach the broker's address (NODE_AMQP_URL)"
    return [problem("nodes", f"enrolled but never reported: node {some(silent)}", advice)]


def held_findings(nodes: Sequence[NodeSeen]) -> list[Finding]:
    """Judge nodes that hold a list back because it would stop too many proxies."""
    return [
        problem(
            "held list",
            f"node {node} holds back a list that would stop {node.held[0]} of its {node.held[1]} proxies",
            f'if this is intended: POST /nodes/{node.id}/sync {{"confirm": true}}; if not: restore the proxies first',
        )
        for node in nodes
        if node.held
    ]


def failure_findings(nodes: Sequence[NodeSeen]) -> list[Finding]:
    """Judge failed proxies. When half of a node's proxies fail, it is a problem of the node."""
    advice = "the reasons: GET /proxies?state=failed&node_id=..."
    many = [node for node in nodes if node.failed and node.failed * 2 >= node.count]
    few = [node for node in nodes if node.failed and node not in many]
    return [
        finding(
            "proxies", f"failed: {some([f'{node.failed} of {node.count} on node {node}' for node in group])}", advice
        )
        for finding, group in ((problem, many), (warning, few))
        if group
    ]


def address_finding(host: str, nodes: Sequence[NodeSeen]) -> Finding:
    """Judge whether the broker's address that nodes get leads from their hosts to the broker."""
    if not is_loopback(host):
        return ok("NODE_AMQP_URL", f"nodes use the broker's address {host}")
    away = [node for node in nodes if not is_loopback(node.ip)]
    advice = "set NODE_AMQP_URL to the broker's address for nodes; nodes enrolled before keep the old one"
    if away:
        text = f"nodes use the broker's address {host}, which does not lead to the broker from node {some(away)}"
        return problem("NODE_AMQP_URL", text, advice)
    if nodes:
        return ok("NODE_AMQP_URL", f"{host}, and every node is on this host")
    return warning("NODE_AMQP_URL", f"{host}: only nodes on this host can reach the broker", advice)


def api_finding(state: ApiState, place: str, reason: str = "") -> Finding:
    """Judge the API's port; `place` is host:port."""
    match state:
        case "master":
            return ok("API", f"a master answers at {place}" + (f", {reason}" if reason else ""))
        case "free":
            return ok("API", f"{place} is free; no master runs here")
        case "taken":
            text = f"{place} is held by another program"
            return problem("API", text, "end it (`ss -ltnp` names it) or choose another API_PORT")
        case "unusable":
            return problem(
                "API",
                f"{place} cannot be listened on: {reason}",
                "set API_HOST and API_PORT to an address of this host and a free port",
            )
