"""Findings about a node's host, files and broker, each with advice. Pure: the facts come from the other modules."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.bus.addresses import SYSTEM, BrokerAddresses, ssl_context
from shared.bus.logins import LoginResult
from shared.certificates import authority_ends
from shared.doctor.encryption import EncryptionAdvice, broker_encryption_findings
from shared.doctor.findings import Finding, ok, problem, some, warning

MIN_FREE_BYTES = 50_000_000
LOW_FREE_BYTES = 500_000_000
LOW_FILES_LIMIT = 65_536
FILES_PER_CONNECTION = 2
LOW_SOMAXCONN = 512
"""Connections that may wait to be accepted; Linux's default is 4,096 since 5.4, and 128 before."""
DEFAULT_PORTS = range(20_000, 30_000)
ENCRYPTION_ADVICE = EncryptionAdvice(
    "the master has to move this node to another CA before that day", "the master has to move this node to amqps://"
)
MIXED_SINCE = (0, 9, 5)


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderFacts:
    """Facts about a directory from stat(2), access(2) and statvfs(3); only `writable` is known if it does not exist."""

    path: str
    exists: bool
    writable: bool = False
    mode: int = 0o700
    free_bytes: int = 0
    free_files: int = 1


def folder_findings(folder: FolderFacts) -> list[Finding]:
    """Judge the data directory."""
    if not folder.exists:
        if folder.writable:
            return [ok("data directory", f"{folder.path} does not exist yet; the agent makes it")]
        advice = f"mkdir -m 700 {folder.path} and give it to the agent's user, or set NODE_DATA_DIR"
        return [problem("data directory", f"{folder.path} does not exist and cannot be created", advice)]
    if not folder.writable:
        advice = "run the doctor as the agent's user, and check whether the file system is mounted read-only"
        return [problem("data directory", f"{folder.path} cannot be written", advice)]
    found: list[Finding] = []
    if folder.mode & 0o077:
        text = f"{folder.path} is accessible to other users (mode {folder.mode:o})"
        found.append(warning("data directory", text, f"chmod 700 {folder.path}"))
    return [*found, space_finding(folder)]


def space_finding(folder: FolderFacts) -> Finding:
    """Judge the free space: on a full disk proxies keep running, but the node takes no changes."""
    text = f"{folder.path} has {folder.free_bytes / 1e6:,.0f} MB free"
    if folder.free_bytes < MIN_FREE_BYTES or folder.free_files == 0:
        return problem("data directory", f"{text}: no change can be stored", "free space (and inodes) on this disk")
    if folder.free_bytes < LOW_FREE_BYTES:
        return warning("data directory", text, "free some space: on a full disk the node takes no changes")
    return ok("data directory", f"{text}, writable")


def agent_finding(*, runs: bool, enrolled: bool) -> Finding:
    """Judge whether the agent runs."""
    if runs:
        return ok("agent", "runs")
    if enrolled:
        return problem("agent", "does not run: its proxies go on, but take no changes", "start maybe-node")
    return warning("agent", "does not run", "start maybe-node; it prints the challenge for its enrolment")


def login_findings(logins: Sequence[LoginResult], *, user: str, agent_runs: bool) -> list[Finding]:
    """Judge the node's login at each address of the broker, and the consumers of its queue."""
    accepted = [login.consumers for login in logins if login.state == "accepted"]
    found = [login_finding(login, user) for login in logins]
    return [*found, *[queue_finding(consumers, agent_runs) for consumers in accepted[:1]]]


def login_finding(login: LoginResult, user: str) -> Finding:
    """Judge the node's login at one address of the broker."""
    endpoint = login.endpoint
    match login.state:
        case "accepted":
            return ok("broker", f"{endpoint} accepts the login {user}")
        case "untrusted":
            advice = (
                "the certificate must come from the authority that the master gave to this node, and name the address; "
                "see `maybe-master doctor`"
            )
            return problem("broker", f"{endpoint}: {login.reason}", advice)
        case "away":
            advice = (
                "check that the broker runs, that this host reaches its address (NODE_AMQP_URL of the master), and "
                "that no firewall blocks it"
            )
            return problem("broker", f"{endpoint} cannot be used: {login.reason}", advice)
        case "login refused":
            text = f"refused: {endpoint} does not accept the login {user}"
            advice = (
                "if the node was removed, run `maybe-node forget` and enrol it again; if the broker lost its data, a "
                "running master restores the login (see `maybe-master doctor`)"
            )
            return problem("broker", text, advice)
        case "vhost refused":
            text = f"refused: {endpoint} does not let {user} into the virtual host"
            return problem("broker", text, "start or restart a master: it restores the permissions when it connects")


def encryption_findings(broker: BrokerAddresses, logins: Sequence[LoginResult], now: datetime) -> list[Finding]:
    """Judge the encryption of the link to the broker."""
    authorities = [] if broker.ca in (None, SYSTEM) else authority_ends(ssl_context(broker.ca))
    return broker_encryption_findings(broker.bare_urls, authorities, logins, now, ENCRYPTION_ADVICE)


def queue_finding(consumers: int | None, agent_runs: bool) -> Finding:
    """Judge the consumers of the node's queue, whose only one is its agent."""
    if consumers is None:
        return problem("queue", "this node's queue is missing", "start or restart a master: it restores the queue")
    if consumers and not agent_runs:
        text = "occupied: another program consumes this node's queue, though no agent runs here"
        advice = (
            "if this host was cloned, run `maybe-node forget` on the copy; after a crash of the agent, wait 30 s for "
            "the broker to notice"
        )
        return problem("queue", text, advice)
    if agent_runs and not consumers:
        advice = "try again in a minute; then look for bus.refused and bus.down in the agent's log, and restart it"
        return warning("queue", "the agent runs but does not consume this node's queue", advice)
    return ok("queue", "consumed by the agent alone" if consumers else "exists, and nobody consumes it")


def clock_finding(*, synchronised: bool | None, behind_s: float) -> Finding:
    """Judge the clock; `behind_s` is how far it is behind the time at which the identity was written."""
    advice = "run an NTP client (chrony, systemd-timesyncd)"
    if behind_s > 60:
        text = f"this host's clock is {behind_s:.0f} s behind the time at which this node was enrolled"
        return problem("clock", text, advice)
    if synchronised is False:
        return warning("clock", "not synchronised, according to the kernel", advice)
    state = "synchronised, according to the kernel" if synchronised else "the kernel does not report its state"
    return ok("clock", f"{state}; it was not compared with another clock")


def files_finding(soft: int, hard: int) -> Finding:
    """Judge the limit on open files. Workers raise their own limit to the hard one."""
    text = f"open files: {soft} soft, {hard} hard"
    if hard < LOW_FILES_LIMIT:
        room = hard // FILES_PER_CONNECTION
        advice = "raise the hard limit: LimitNOFILE=1048576 in the systemd unit, --ulimit nofile in Docker"
        return warning("ulimit -n", f"{text}: enough for about {room} connections in each worker", advice)
    return ok("ulimit -n", text)


def port_findings(ports: Collection[int], local: tuple[int, int], reserved: Collection[int]) -> list[Finding]:
    """Compare the proxies' ports (the default range while there are none) with those of outgoing connections."""
    checked = ports or DEFAULT_PORTS
    inside = sorted(port for port in checked if local[0] <= port <= local[1] and port not in reserved)
    setting = f"net.ipv4.ip_local_port_range is {local[0]}-{local[1]}"
    if not inside:
        outside = "no proxy's port is inside it" if ports else "the default ports 20000-29999 are outside it"
        return [ok("ports", f"{setting}; {outside}")]
    text = f"{setting}, and proxies use ports inside it: {some(inside)}; an outgoing connection may take one"
    advice = "reserve them (sysctl net.ipv4.ip_local_reserved_ports=FIRST-LAST) or change the node's limits.ports"
    return [warning("ports", text, advice)]


def three_proxy_finding(path: str | None, version: str | None) -> Finding:
    """Judge the 3proxy binary; `version` is None when it cannot be run."""
    if path is None:
        return ok("3proxy", "not installed; this node only runs proxies of the built-in engine")
    if version is None:
        return problem("3proxy", f"{path} cannot be run", "install it for this system, or unset THREE_PROXY")
    if version == "unknown":
        advice = "make sure that it is 3proxy; protocol mixed needs 0.9.5 or newer"
        return warning("3proxy", f"{path} does not report its version", advice)
    if version_number(version) < MIXED_SINCE:
        text = f"{path} is version {version}, which cannot run proxies of protocol mixed"
        return warning("3proxy", text, "install 3proxy 0.9.5 or newer, or use the built-in engine for them")
    return ok("3proxy", f"{path} is {version}")


def version_number(version: str) -> tuple[int, ...]:
    """Convert a version such as "0.9.4" to numbers; letters are ignored."""
    return tuple(int("".join(filter(str.isdigit, part)) or 0) for part in version.split("."))


def worker_findings(workers: Mapping[int, str], *, agent_runs: bool, wanted: int) -> list[Finding]:
    """Judge the built-in engine's workers: state letters (proc(5)) by pid; `wanted` counts the proxies for them."""
    stuck = sorted(pid for pid, state in workers.items() if state in "TtD")
    if stuck:
        text = f"stopped or stuck in the kernel: pid {some(stuck)}"
        advice = "resume them (kill -CONT) and check the disk; if that does not help, restart the agent"
        return [problem("workers", text, advice)]
    if not workers and agent_runs:
        advice = "see its logs: builtin/*.log in the data directory"
        return [problem("workers", "no worker of the built-in engine runs", advice)]
    if not workers and wanted:
        return [warning("workers", f"none runs, so {wanted} proxies are down", "start maybe-node")]
    return [ok("workers", f"{len(workers)} of the built-in engine run")]


def listening_finding(wanted: Mapping[int, int], listening: Collection[int], *, agent_runs: bool) -> Finding:
    """Judge whether the wanted proxies accept connections; `wanted` maps proxy ids to ports."""
    closed = [f"{port} (proxy {id_})" for id_, port in sorted(wanted.items()) if port not in listening]
    if not closed:
        return ok("proxies", f"{len(wanted)} of {len(wanted)} wanted accept connections")
    text = f"{len(closed)} of {len(wanted)} wanted do not accept connections, at port {some(closed)}"
    advice = "see the reasons: GET /proxies/ID at the master" if agent_runs else "start maybe-node"
    level = problem if len(closed) * 2 >= len(wanted) else warning
    return level("proxies", text, advice)


def room_findings(table: tuple[int, int] | None, queue: int | None) -> list[Finding]:
    """Report limits of the kernel that are close: the connection tracking table (used, size), net.core.somaxconn."""
    found: list[Finding] = []
    if table and table[1] and table[0] > 0.8 * table[1]:
        text = f"connection tracking is {100 * table[0] // table[1]} % full ({table[0]} of {table[1]})"
        level = problem if table[0] > 0.95 * table[1] else warning
        found.append(level("conntrack", text, "raise net.netfilter.nf_conntrack_max, or exempt the proxies' ports"))
    if queue is not None and queue < LOW_SOMAXCONN:
        text = f"net.core.somaxconn is {queue}: the kernel drops bursts of new connections"
        found.append(warning("somaxconn", text, "raise it: sysctl net.core.somaxconn=4096"))
    return found


def reserved_ports(text: str) -> set[int]:
    """Parse net.ipv4.ip_local_reserved_ports, such as "8080,20000-20100"."""
    spans: Sequence[Sequence[str]] = [part.split("-") for part in text.strip().split(",") if part]
    return {port for span in spans for port in range(int(span[0]), int(span[-1]) + 1)}


def listening_ports(table: str) -> set[int]:
    """Parse /proc/net/tcp or tcp6 and return the ports in state LISTEN (0A)."""
    rows = [line.split() for line in table.splitlines()[1:]]
    return {int(row[1].rpartition(":")[2], 16) for row in rows if len(row) > 3 and row[3] == "0A"}
