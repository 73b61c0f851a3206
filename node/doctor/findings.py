"""What a node's host, files and broker look like, and what to do about it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from shared.bus.logins import LoginResult
from shared.doctor.findings import Finding, ok, problem, some, warning

LEAST_FREE_BYTES = 50_000_000
LITTLE_FREE_BYTES = 500_000_000
FEW_FILES = 65_536
FILES_A_CONNECTION = 2
SHORT_QUEUE = 512
"""Connections that wait to be accepted; Linux allows 4,096 since 5.4, and 128 before."""
DEFAULT_PORTS = range(20_000, 30_000)
MIXED_SINCE = (0, 9, 5)


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderFacts:
    """A directory as stat(2), access(2) and statvfs(3) tell; `exists` False: nothing else is known."""

    path: str
    exists: bool
    writable: bool = False
    mode: int = 0o700
    free_bytes: int = 0
    free_files: int = 1


def folder_findings(folder: FolderFacts) -> list[Finding]:
    """Of the data directory."""
    if not folder.exists:
        if folder.writable:
            return [ok("data directory", f"{folder.path} is not there yet; the agent makes it")]
        advice = f"mkdir -m 700 {folder.path} and give it to the agent's user, or set NODE_DATA_DIR"
        return [problem("data directory", f"{folder.path} is not there and cannot be made", advice)]
    if not folder.writable:
        advice = "run this as the agent's user; is the file system mounted read-only"
        return [problem("data directory", f"{folder.path} cannot be written", advice)]
    found: list[Finding] = []
    if folder.mode & 0o077:
        text = f"{folder.path} is open to other users (mode {folder.mode:o})"
        found.append(warning("data directory", text, f"chmod 700 {folder.path}"))
    return [*found, space_finding(folder)]


def space_finding(folder: FolderFacts) -> Finding:
    """A full disk keeps the node from taking changes; what runs goes on."""
    text = f"{folder.path} has {folder.free_bytes / 1e6:,.0f} MB free"
    if folder.free_bytes < LEAST_FREE_BYTES or folder.free_files == 0:
        return problem("data directory", f"{text}: no change can be kept", "free space (and inodes) on this disk")
    if folder.free_bytes < LITTLE_FREE_BYTES:
        return warning("data directory", text, "free space: on a full disk the node takes no more changes")
    return ok("data directory", f"{text}, writable")


def agent_finding(*, runs: bool, enrolled: bool) -> Finding:
    """Whether the agent holds its lock."""
    if runs:
        return ok("agent", "runs")
    if enrolled:
        return problem("agent", "does not run: its proxies go on, but nothing changes", "start maybe-node")
    return warning("agent", "does not run", "start maybe-node; it prints the challenge by which it is enrolled")


def login_findings(login: LoginResult, *, place: str, user: str, agent_runs: bool) -> list[Finding]:
    """How the broker took the node's login at `place`, host:port, and whose consumer its queue has."""
    match login.state:
        case "accepted":
            return [ok("broker", f"{place} accepts the login {user}"), queue_finding(login.consumers, agent_runs)]
        case "away":
            advice = (
                "is the broker up, does the address lead from here (NODE_AMQP_URL of the master), is a firewall between"
            )
            return [problem("broker", f"{place} cannot be used: {login.reason}", advice)]
        case "login refused":
            text = f"refused: {place} does not accept the login {user}"
            advice = (
                "the master removed this node, or the broker lost it (a running master makes it anew: "
                "`maybe-master doctor`); for good: `maybe-node forget`, then enrol it again"
            )
            return [problem("broker", text, advice)]
        case "vhost refused":
            text = f"refused: {place} does not let {user} into the virtual host"
            return [problem("broker", text, "start (or restart) a master: it mends the permissions when it connects")]


def queue_finding(consumers: int | None, agent_runs: bool) -> Finding:
    """The node's queue has one consumer, which is its agent."""
    if consumers is None:
        return problem("queue", "this node's queue is missing", "start (or restart) a master: it makes it anew")
    if consumers and not agent_runs:
        text = "occupied: somebody else consumes this node's queue though no agent runs here"
        advice = (
            "was this host cloned? run `maybe-node forget` on the copy; after a crash the broker takes 30 s to notice"
        )
        return problem("queue", text, advice)
    if agent_runs and not consumers:
        advice = "look again in a minute; if it stays so: the agent's log (bus.refused, bus.down), then restart it"
        return warning("queue", "the agent runs but does not consume this node's queue", advice)
    return ok("queue", "consumed by one: the agent" if consumers else "there, and nobody consumes it")


def clock_finding(*, synchronised: bool | None, behind_s: float) -> Finding:
    """`behind_s`: how much this clock is before the time at which the identity was written."""
    if behind_s > 60:
        text = f"this host's clock is {behind_s:.0f} s before the time at which this node was enrolled"
        return problem("clock", text, "set it: run an NTP client (chrony, systemd-timesyncd)")
    if synchronised is False:
        return warning(
            "clock", "the kernel says that it is not synchronised", "run an NTP client (chrony, systemd-timesyncd)"
        )
    told = "synchronised, says the kernel" if synchronised else "the kernel does not tell whether it is synchronised"
    return ok("clock", f"{told}; the bus carries no time to compare it with")


def files_finding(soft: int, hard: int) -> Finding:
    """Workers raise their own limit to the hard one."""
    text = f"open files: {soft} soft, {hard} hard"
    if hard < FEW_FILES:
        room = hard // FILES_A_CONNECTION
        advice = "raise the hard limit: LimitNOFILE=1048576 in the systemd unit, --ulimit nofile in Docker"
        return warning("ulimit -n", f"{text}: a worker carries about {room} connections", advice)
    return ok("ulimit -n", text)


def port_findings(ports: Collection[int], local: tuple[int, int], reserved: Collection[int]) -> list[Finding]:
    """`ports` of the proxies (the default range while there are none) against those of outgoing connections."""
    meant = ports or DEFAULT_PORTS
    inside = sorted(port for port in meant if local[0] <= port <= local[1] and port not in reserved)
    own = f"net.ipv4.ip_local_port_range is {local[0]}-{local[1]}"
    if not inside:
        return [ok("ports", f"{own}: no proxy's port is inside" if ports else f"{own}: apart from 20000-29999")]
    text = f"{own}, and proxies use ports inside it: {some(inside)}; an outgoing connection may take one"
    advice = "reserve them (sysctl net.ipv4.ip_local_reserved_ports=FIRST-LAST) or give the node other limits.ports"
    return [warning("ports", text, advice)]


def three_proxy_finding(path: str | None, version: str | None) -> Finding:
    """`version` None: it cannot be run."""
    if path is None:
        return ok("3proxy", "not here; this node takes proxies of the built-in engine only")
    if version is None:
        return problem("3proxy", f"{path} cannot be run", "install it for this system, or unset THREE_PROXY")
    if version == "unknown":
        return warning(
            "3proxy", f"{path} does not tell its version", "is it 3proxy? 0.9.5 or newer is needed for mixed"
        )
    if version_number(version) < MIXED_SINCE:
        text = f"{path} is {version}: proxies of protocol mixed do not work with it"
        return warning("3proxy", text, "install 3proxy 0.9.5 or newer, or use the built-in engine for them")
    return ok("3proxy", f"{path} is {version}")


def version_number(version: str) -> tuple[int, ...]:
    """ "0.9.4" as numbers; letters count as nothing."""
    return tuple(int("".join(filter(str.isdigit, part)) or 0) for part in version.split("."))


def worker_findings(workers: Mapping[int, str], *, agent_runs: bool, wanted: int) -> list[Finding]:
    """`workers`: the state letter of each process (proc(5)) by pid; `wanted`: proxies that want one."""
    stuck = sorted(pid for pid, state in workers.items() if state in "TtD")
    if stuck:
        text = f"stopped or stuck in the kernel: pid {some(stuck)}"
        return [problem("workers", text, "kill -CONT them, or look at the disk; if that fails restart the agent")]
    if not workers and agent_runs:
        return [problem("workers", "none of the built-in engine runs", "its logs: builtin/*.log in the data directory")]
    if not workers and wanted:
        return [warning("workers", f"none runs, so {wanted} proxies are down", "start maybe-node")]
    return [ok("workers", f"{len(workers)} of the built-in engine run")]


def listening_finding(wanted: Mapping[int, int], listening: Collection[int], *, agent_runs: bool) -> Finding:
    """`wanted`: the port by proxy id."""
    deaf = [f"{port} (proxy {id_})" for id_, port in sorted(wanted.items()) if port not in listening]
    if not deaf:
        return ok("proxies", f"{len(wanted)} of {len(wanted)} wanted accept connections")
    text = f"{len(deaf)} of {len(wanted)} wanted do not accept connections, at port {some(deaf)}"
    advice = "the reason: GET /proxies/ID at the master" if agent_runs else "start maybe-node"
    tell = problem if len(deaf) * 2 >= len(wanted) else warning
    return tell("proxies", text, advice)


def room_findings(table: tuple[int, int] | None, queue: int | None) -> list[Finding]:
    """Only what limits: (used, size) of the connection tracking table, and net.core.somaxconn."""
    found: list[Finding] = []
    if table and table[1] and table[0] > 0.8 * table[1]:
        text = f"connection tracking is {100 * table[0] // table[1]} % full ({table[0]} of {table[1]})"
        tell = problem if table[0] > 0.95 * table[1] else warning
        found.append(tell("conntrack", text, "raise net.netfilter.nf_conntrack_max, or exempt the proxies' ports"))
    if queue is not None and queue < SHORT_QUEUE:
        text = f"net.core.somaxconn is {queue}: bursts of new connections are dropped"
        found.append(warning("somaxconn", text, "sysctl net.core.somaxconn=4096"))
    return found


def reserved_ports(text: str) -> set[int]:
    """Of net.ipv4.ip_local_reserved_ports: "8080,20000-20100"."""
    spans: Sequence[Sequence[str]] = [part.split("-") for part in text.strip().split(",") if part]
    return {port for span in spans for port in range(int(span[0]), int(span[-1]) + 1)}


def listening_ports(table: str) -> set[int]:
    """Of the text of /proc/net/tcp or tcp6: those in state LISTEN (0A)."""
    rows = [line.split() for line in table.splitlines()[1:]]
    return {int(row[1].rpartition(":")[2], 16) for row in rows if len(row) > 3 and row[3] == "0A"}
