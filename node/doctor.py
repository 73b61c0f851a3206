"""`maybe-node doctor`: looks at the settings, the data directory, the broker and the host, and changes nothing."""

import asyncio
import ctypes
import errno
import os
import resource
import socket
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from node.copy_look import CopyLook, copy_finding, look_at_copy
from node.diagnosis import (
    Folder,
    agent_finding,
    clock_finding,
    files_finding,
    folder_findings,
    listening_finding,
    listening_ports,
    login_findings,
    port_findings,
    reserved_ports,
    room_findings,
    three_proxy_finding,
    worker_findings,
)
from node.engine.builtin.process import worker_numbers, worker_pid
from node.engine.three_proxy import version as three_proxy_version
from node.errors import BadConfiguration, BadIdentity
from node.identity import Identity, read_identity
from node.presence import is_running
from node.settings import Settings, read_settings
from shared.bus import try_login
from shared.examination import examine, likely_meant
from shared.findings import Finding, ok, problem, warning

SYSCTL = Path("/proc/sys/net")
TIME_ERROR = 5
"""What adjtimex(2) answers while the clock is not synchronised."""
TIMEX_BYTES = 256
"""More than a struct timex has on any system; all zero it asks and sets nothing."""


async def findings(env: Mapping[str, str] = os.environ) -> list[Finding]:
    """Everything there is to tell about a node with this environment."""
    settings, errors = readable_settings(env)
    visit = await asyncio.to_thread(Examination.begin, settings)
    advice = "set it as README.md has it, then look again: its default was looked at meanwhile"
    told = [problem("settings", f"{error}{likely_meant(error.variable, env)}", advice) for error in errors]
    looks = {
        "data directory": visit.look_at_folder,
        "identity": visit.look_at_identity,
        "local copy": visit.look_at_copy,
        "agent": visit.look_at_agent,
        "broker": visit.look_at_broker,
        "clock": visit.look_at_clock,
        "engines": visit.look_at_engines,
        "network": visit.look_at_network,
    }
    return [*(told or [ok("settings", "readable")]), *await examine(looks)]


def readable_settings(env: Mapping[str, str]) -> tuple[Settings, list[BadConfiguration]]:
    """The settings, defaults for what cannot be read, and what cannot.

    Reading them makes the data directory; here another one stands in for it, so that nothing is made.
    """
    data_dir = Path(env.get("NODE_DATA_DIR") or "/var/lib/maybe-node")
    patched, errors = {**env, "NODE_DATA_DIR": tempfile.gettempdir()}, list[BadConfiguration]()
    while True:
        try:
            return replace(read_settings(patched), data_dir=data_dir.absolute()), errors
        except BadConfiguration as error:
            errors.append(error)
            patched[error.variable] = "" if error.variable != "NODE_DATA_DIR" else str(Path.home())


@dataclass
class Examination:
    """What is known before the looks begin. `trouble` is why the identity cannot be read."""

    settings: Settings
    runs: bool
    identity: Identity | None
    trouble: str
    copy: CopyLook

    @classmethod
    def begin(cls, settings: Settings) -> "Examination":
        """Read the agent's lock, the identity and the local copy."""
        runs, identity, trouble = False, None, ""
        try:
            runs = is_running(settings)
            identity = read_identity(settings.identity_file)
        except (BadIdentity, OSError) as error:
            trouble = str(error)
        return cls(settings, runs, identity, trouble, look_at_copy(settings.copy_file, live=runs))

    async def look_at_folder(self) -> list[Finding]:
        """Of the data directory."""
        return folder_findings(await asyncio.to_thread(folder_at, self.settings.data_dir))

    async def look_at_identity(self) -> list[Finding]:
        """Who this node is, and whether others could read its login."""
        if self.trouble:
            return [problem("identity", self.trouble, "run this as the agent's user; else forget and enrol again")]
        if self.identity is None:
            return [ok("identity", "none yet: this node waits to be enrolled"), await self._enrolment()]
        config, mode = self.identity.config, self.settings.identity_file.stat().st_mode & 0o777
        found = [ok("identity", f"node {config.node_id} ({config.name}) of cluster {config.cluster}")]
        if mode & 0o077:
            text = f"{self.settings.identity_file} holds the broker login and is open to other users ({mode:o})"
            found.append(problem("identity", text, f"chmod 600 {self.settings.identity_file}"))
        if self.identity.challenge is not None:
            text = "enrolled, but the broker has not accepted the login yet"
            found += [warning("identity", text, "see broker, below"), await self._enrolment()]
        return found

    async def _enrolment(self) -> Finding:
        """Whether the master can come in: the agent listens, or could."""
        place = f"{self.settings.enrol_host}:{self.settings.enrol_port}"
        taken = bind_failure(self.settings.enrol_host, self.settings.enrol_port)
        if self.runs and taken == errno.EADDRINUSE:
            return ok("enrolment port", f"the agent waits at {place}")
        if self.runs:
            return warning("enrolment port", f"nobody waits at {place}", "the agent's log tells why; restart it")
        if taken:
            text = f"{place} cannot be listened on: {os.strerror(taken)}"
            return problem("enrolment port", text, "end what holds it (`ss -ltnp`), or set NODE_ENROL_PORT")
        return ok("enrolment port", f"{place} is free")

    async def look_at_copy(self) -> list[Finding]:
        """Of the local copy."""
        return [copy_finding(self.copy, self.identity.owner if self.identity else None)]

    async def look_at_agent(self) -> list[Finding]:
        """Whether it runs, and its limit on open files (this process' own while it does not)."""
        pid = agent_pid(self.settings) if self.runs else None
        soft, hard = file_limits(pid)
        enrolled = self.identity is not None
        return [agent_finding(runs=self.runs, enrolled=enrolled), files_finding(soft, hard)]

    async def look_at_broker(self) -> list[Finding]:
        """With the node's own login."""
        if self.identity is None:
            return [ok("broker", "not known before this node is enrolled")]
        config = self.identity.config
        parts = urlsplit(config.amqp_url.get_secret_value())
        login = await try_login(config.amqp_url, queue=config.queue)
        place = f"{parts.hostname}:{parts.port or 5672}"
        return login_findings(login, place=place, user=parts.username or "guest", agent_runs=self.runs)

    async def look_at_clock(self) -> list[Finding]:
        """As far as this host can tell by itself."""
        behind = 0.0
        with suppress(OSError):
            behind = self.settings.identity_file.stat().st_mtime - time.time()
        return [clock_finding(synchronised=clock_synchronised(), behind_s=behind)]

    async def look_at_engines(self) -> list[Finding]:
        """3proxy's program, the built-in engine's workers, and which proxies really accept connections."""
        binary = self.settings.three_proxy
        try:
            version = await three_proxy_version(binary) if binary else None
        except OSError:
            version = None
        found = [three_proxy_finding(str(binary) if binary else None, version)]
        states = worker_states(self.settings.data_dir / "builtin")
        found += worker_findings(states, agent_runs=self.runs, wanted=self.copy.builtin)
        if self.copy.ports:
            found.append(listening_finding(self.copy.ports, all_listening(), agent_runs=self.runs))
        return found

    async def look_at_network(self) -> list[Finding]:
        """Addresses, ports and what the kernel limits."""
        low, high = map(int, (SYSCTL / "ipv4/ip_local_port_range").read_text().split())
        reserved = reserved_ports(read_text(SYSCTL / "ipv4/ip_local_reserved_ports"))
        used, size = (read_text(SYSCTL / f"netfilter/nf_conntrack_{name}") for name in ("count", "max"))
        queue = read_text(SYSCTL / "core/somaxconn")
        return [
            *listen_findings(self.settings.listen),
            *port_findings(set(self.copy.ports.values()), (low, high), reserved),
            ok("IPv6", "a global address" if has_global_ipv6() else "no global address: proxies serve IPv4 only"),
            *room_findings((int(used), int(size)) if used and size else None, int(queue) if queue else None),
        ]


def folder_at(path: Path) -> Folder:
    """As the system tells; of one that is not there, whether it could be made."""
    if not path.is_dir():
        parent = next(each for each in path.parents if each.exists())
        return Folder(path=str(path), exists=False, writable=not path.exists() and os.access(parent, os.W_OK | os.X_OK))
    room = os.statvfs(path)
    return Folder(
        path=str(path),
        exists=True,
        writable=os.access(path, os.R_OK | os.W_OK | os.X_OK),
        mode=path.stat().st_mode & 0o777,
        free_bytes=room.f_bavail * room.f_frsize,
        free_files=room.f_favail if room.f_files else 1,
    )


def agent_pid(settings: Settings) -> int | None:
    """Of the agent that holds the lock, unless it is still writing it down."""
    text = read_text(settings.pid_file)
    return int(text) if text.isdigit() else None


def file_limits(pid: int | None) -> tuple[int, int]:
    """(soft, hard) of that process if this user may know, else of this one."""
    with suppress(OSError):
        return resource.prlimit(pid or os.getpid(), resource.RLIMIT_NOFILE)
    return resource.getrlimit(resource.RLIMIT_NOFILE)


def bind_failure(host: str, port: int) -> int:
    """The errno of binding there for a moment, without listening; 0: it can be had."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
    except OSError as error:
        return error.errno or errno.EIO
    return 0


def listen_findings(listen: str | None) -> Sequence[Finding]:
    """Whether NODE_LISTEN is an address of this host."""
    failed = bind_failure(listen, 0) if listen else 0
    if not failed:
        return [ok("NODE_LISTEN", listen or "every address of this host")]
    text = f"{listen} cannot be listened on: {os.strerror(failed)}"
    return [problem("NODE_LISTEN", text, "set it to an address of this host (`ip address`), or unset it for all")]


def clock_synchronised() -> bool | None:
    """As the kernel tells (adjtimex(2)); None: it does not."""
    try:
        answer = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))
    except (OSError, AttributeError):
        return None
    return None if answer < 0 else answer != TIME_ERROR


def worker_states(directory: Path) -> dict[int, str]:
    """The state letter (proc(5)) by number, of the workers that live."""
    pids = {number: worker_pid(directory, number) for number in worker_numbers(directory)}
    stats = {number: read_text(Path(f"/proc/{pid}/stat")) for number, pid in pids.items() if pid}
    return {number: stat.rpartition(")")[2].split()[0] for number, stat in stats.items() if stat}


def all_listening() -> set[int]:
    """Ports that something on this host listens on."""
    return listening_ports(read_text(Path("/proc/net/tcp"))) | listening_ports(read_text(Path("/proc/net/tcp6")))


def has_global_ipv6() -> bool:
    """Whether an address has global scope (00), unique local ones (fc00::/7) left out."""
    rows = [line.split() for line in read_text(Path("/proc/net/if_inet6")).splitlines()]
    return any(row[3] == "00" and not row[0].startswith(("fc", "fd")) for row in rows)


def read_text(path: Path) -> str:
    """What the file says, nothing when this kernel or this user has none."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""
