"""`maybe-node doctor`: looks at the settings, the data directory, the broker and the host, and changes nothing."""

import asyncio
import errno
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from node.doctor.exits import exit_findings
from node.doctor.findings import (
    agent_finding,
    clock_finding,
    files_finding,
    folder_findings,
    listening_finding,
    login_findings,
    port_findings,
    reserved_ports,
    room_findings,
    three_proxy_finding,
    worker_findings,
)
from node.doctor.host import (
    all_listening,
    bind_failure,
    clock_synchronised,
    file_limits,
    folder_at,
    has_global_ipv6,
    read_text,
    worker_states,
)
from node.doctor.local_copy import CopyLook, copy_finding, look_at_copy
from node.engine.builtin.pool.directory import home_of
from node.engine.three_proxy.binary import version as three_proxy_version
from node.errors import BadIdentity, NodeConfigurationError
from node.settings import Settings, read_settings
from node.state.agent_lock import agent_pid, is_running
from node.state.identity import Identity, read_identity
from shared.bus.logins import try_login
from shared.doctor.examination import examine, likely_meant
from shared.doctor.findings import Finding, ok, problem, warning

SYSCTL = Path("/proc/sys/net")
STAND_INS = (Path("/tmp"), Path("/dev/shm"), Path("/"))  # noqa: S108 (nothing is written there)


async def findings(env: Mapping[str, str] = os.environ) -> list[Finding]:
    """Everything there is to tell about a node with this environment."""
    try:
        settings, errors = readable_settings(env)
    except NodeConfigurationError as error:
        return [problem("settings", str(error), "run this as the agent's user, on a file system that can be written")]
    visit = await asyncio.to_thread(NodeExamination.begin, settings)
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


def readable_settings(env: Mapping[str, str]) -> tuple[Settings, list[NodeConfigurationError]]:
    """The settings, defaults for what cannot be read, and what cannot.

    Reading them makes the data directory; here another one stands in for it, so that nothing is made. Raises
    BadConfiguration when this user can write nowhere at all.
    """
    data_dir = Path(env.get("NODE_DATA_DIR") or "/var/lib/maybe-node").absolute()
    places = [each for each in (data_dir, *STAND_INS) if each.is_dir() and os.access(each, os.W_OK | os.X_OK)]
    patched, errors = {**env, "NODE_DATA_DIR": str(next(iter(places), data_dir))}, list[NodeConfigurationError]()
    while True:
        try:
            return replace(read_settings(patched), data_dir=data_dir), errors
        except NodeConfigurationError as error:
            if error.variable == "NODE_DATA_DIR":
                raise
            errors.append(error)
            patched[error.variable] = ""


@dataclass
class NodeExamination:
    """What is known before the looks begin. `trouble` is why the identity cannot be read."""

    settings: Settings
    runs: bool
    identity: Identity | None
    trouble: str
    copy: CopyLook

    @classmethod
    def begin(cls, settings: Settings) -> "NodeExamination":
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
            return [problem("identity", self.trouble, "is this the agent's user")]
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
        if self.trouble and not self.runs:
            untold = warning("agent", "whether it runs cannot be told", "see identity, above")
            return [untold, files_finding(soft, hard)]
        return [agent_finding(runs=self.runs, enrolled=enrolled), files_finding(soft, hard)]

    async def look_at_broker(self) -> list[Finding]:
        """With the node's own login."""
        if self.identity is None:
            return [ok("broker", "not looked at: its address is in the identity")]
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
        states = worker_states(home_of(self.settings.builtin_dir))
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
            *await asyncio.to_thread(exit_findings, self.copy.needs),
            ok("IPv6", "a global address" if has_global_ipv6() else "no global address: proxies serve IPv4 only"),
            *room_findings((int(used), int(size)) if used and size else None, int(queue) if queue else None),
        ]


def listen_findings(listen: str | None) -> Sequence[Finding]:
    """Whether NODE_LISTEN is an address of this host."""
    failed = bind_failure(listen, 0) if listen else 0
    if not failed:
        return [ok("NODE_LISTEN", listen or "every address of this host")]
    text = f"{listen} cannot be listened on: {os.strerror(failed)}"
    return [problem("NODE_LISTEN", text, "set it to an address of this host (`ip address`), or unset it for all")]
