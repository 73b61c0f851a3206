"""What the master's database, nodes and addresses look like, and what to do about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Literal
from urllib.parse import urlsplit

from shared.doctor.findings import Finding, ok, problem, some, warning

OLDEST_POSTGRESQL = 15
CONNECTIONS_A_MASTER = 13
"""Its pool (10), the one that listens, the one that watches the other masters, and one to spare."""
CLOCK_S = 2.0
SILENT_S = 45.0
"""Three reports missed, as the master counts it (master.sync.reports)."""

ApiState = Literal["free", "master", "taken", "unusable"]


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeSeen:
    """A node by its last report; `link` as the API shows it, `held` is (proxies that would stop, of how many)."""

    id: int
    name: str
    ip: str
    link: str
    silent_s: float
    count: int
    failed: int
    held: tuple[int, int] | None
    password_hash: str = field(repr=False)

    def __str__(self) -> str:
        return f"{self.id} ({self.name})"


def server_findings(server: Mapping[str, Any]) -> list[Finding]:
    """Of version, role and connections; `server` is the row of doctor.server."""
    return [version_finding(server["version"]), *role_findings(server), connections_finding(server)]


def version_finding(number: int) -> Finding:
    """`number` as PostgreSQL has it: 150004 is 15.4."""
    text = f"{number // 10_000}.{number % 10_000}"
    if number // 10_000 < OLDEST_POSTGRESQL:
        return problem(
            "PostgreSQL version", f"{text} is too old", f"upgrade it to {OLDEST_POSTGRESQL} or newer (pg_upgrade)"
        )
    return ok("PostgreSQL version", text)


def role_findings(server: Mapping[str, Any]) -> list[Finding]:
    """A standby cannot be written."""
    if not server["in_recovery"]:
        return []
    return [problem("PostgreSQL role", "this server is a standby: nothing can be written", "name the primary instead")]


def connections_finding(server: Mapping[str, Any]) -> Finding:
    """Whether one more master finds room; this look's own connection is not counted."""
    most, used = server["max_connections"], max(server["connections"] - 1, 0)
    text = f"{used} of max_connections = {most} in use"
    if most - used < CONNECTIONS_A_MASTER:
        advice = f"raise max_connections: each master takes up to {CONNECTIONS_A_MASTER}"
        return warning("PostgreSQL connections", text, advice)
    return ok("PostgreSQL connections", text)


def schema_finding(
    applied: Mapping[int, str] | None, known: Sequence[tuple[int, str, str]], *, may_create: bool
) -> Finding:
    """`applied` maps versions to checksums, None in an empty database; `known` are (version, name, checksum)."""
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
    """`ahead_s`: the database's clock minus this host's."""
    if abs(ahead_s) < CLOCK_S:
        return ok("clock", f"agrees with the database's within {max(abs(ahead_s), 0.1):.1f} s")
    way = "ahead of" if ahead_s > 0 else "behind"
    text = f"the database's clock is {abs(ahead_s):.0f} s {way} this host's"
    return warning("clock", text, "run an NTP client (chrony, systemd-timesyncd) on both hosts")


def node_findings(nodes: Sequence[NodeSeen], consumers: Mapping[int, int], *, master_runs: bool) -> list[Finding]:
    """Of nodes that are silent, hold a list back, or fail; `consumers` of their queues tell who is connected."""
    told = [node for node in nodes if node.link != "never_reported"]
    if told and not master_runs and all(node.silent_s > SILENT_S for node in told):
        text = f"none of {len(told)} has been heard for {min(node.silent_s for node in told):.0f} s"
        found = [warning("nodes", text, "no master runs: start one, then look again")]
    else:
        found = silent_findings(told, consumers)
    found += [*unseen_findings(nodes), *held_findings(nodes), *failure_findings(nodes)]
    return found or [ok("nodes", f"{len(nodes)} of {len(nodes)} report, nothing held back, nothing failed")]


def silent_findings(nodes: Sequence[NodeSeen], consumers: Mapping[int, int]) -> list[Finding]:
    """Nodes that no longer report, by whether they are connected to the broker."""
    silent = [node for node in nodes if node.silent_s > SILENT_S]
    cut = [node for node in silent if not consumers.get(node.id)]
    mute = [node for node in silent if consumers.get(node.id)]
    found: list[Finding] = []
    if cut:
        advice = "on such a host: is it up, does the agent run, what does `maybe-node doctor` say"
        found.append(problem("nodes", f"silent and not connected to the broker: {spoken(cut)}", advice))
    if mute:
        text = f"silent though connected to the broker: {spoken(mute)}"
        advice = "is a master connected to this broker (see mp.master); does the agent hang: its log, then restart it"
        found.append(problem("nodes", text, advice))
    return found


def spoken(nodes: Sequence[NodeSeen]) -> str:
    """With the time since they were heard."""
    return some([f"node {node} for {node.silent_s:.0f} s" for node in nodes])


def unseen_findings(nodes: Sequence[NodeSeen]) -> list[Finding]:
    """Nodes that were enrolled and never reported."""
    unseen = [node for node in nodes if node.link == "never_reported" and node.silent_s > SILENT_S]
    if not unseen:
        return []
    advice = "run `maybe-node doctor` there: most often the broker's address (NODE_AMQP_URL) does not lead from it"
    return [problem("nodes", f"enrolled but never reported: node {some(unseen)}", advice)]


def held_findings(nodes: Sequence[NodeSeen]) -> list[Finding]:
    """Nodes that wait for a word because too much would stop."""
    return [
        problem(
            "held list",
            f"node {node} holds back a list that would stop {node.held[0]} of its {node.held[1]} proxies",
            f'if that is meant: POST /nodes/{node.id}/sync {{"confirm": true}}; if not: restore the proxies first',
        )
        for node in nodes
        if node.held
    ]


def failure_findings(nodes: Sequence[NodeSeen]) -> list[Finding]:
    """Proxies that do not run; a node on which half of them fail is a problem of the node."""
    advice = "the reasons: GET /proxies?state=failed&node_id=..."
    much = [node for node in nodes if node.failed and node.failed * 2 >= node.count]
    few = [node for node in nodes if node.failed and node not in much]
    return [
        tell("proxies", f"failed: {some([f'{node.failed} of {node.count} on node {node}' for node in group])}", advice)
        for tell, group in ((problem, much), (warning, few))
        if group
    ]


def address_finding(node_amqp_url: str, nodes: Sequence[NodeSeen]) -> Finding:
    """Whether the broker's address as nodes are told leads from their hosts to the broker."""
    host = urlsplit(node_amqp_url).hostname or ""
    if not is_loopback(host):
        return ok("NODE_AMQP_URL", f"nodes are told that the broker is at {host}")
    away = [node for node in nodes if not is_loopback(node.ip)]
    advice = "set NODE_AMQP_URL to the broker's address as nodes see it; nodes enrolled before keep the old one"
    if away:
        text = f"nodes are told that the broker is at {host}, which leads nowhere from node {some(away)}"
        return problem("NODE_AMQP_URL", text, advice)
    if nodes:
        return ok("NODE_AMQP_URL", f"{host}, and every node is on this host")
    return warning("NODE_AMQP_URL", f"{host}: only nodes on this very host can reach the broker", advice)


def is_loopback(host: str) -> bool:
    """Of an address or a name."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def api_finding(state: ApiState, place: str, reason: str = "") -> Finding:
    """`place`: host:port."""
    match state:
        case "master":
            return ok("API", f"a master answers at {place}" + (f", {reason}" if reason else ""))
        case "free":
            return ok("API", f"{place} is free; no master runs here")
        case "taken":
            text = f"{place} is held by another program"
            return problem("API", text, "end it (`ss -ltnp` names it) or choose another API_PORT")
        case "unusable":
            return problem("API", f"{place} cannot be listened on: {reason}", "set API_HOST and API_PORT otherwise")
