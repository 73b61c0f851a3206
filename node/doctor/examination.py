"""Examination of a node by `maybe-node doctor`: runs every check and changes nothing."""

import asyncio
import errno
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from node.data_directory import DATA_DIR
from node.doctor.broker_moves import move_findings
from node.doctor.certificate import certificate_findings
from node.doctor.exits import exit_findings
from node.doctor.findings import (
    agent_finding,
    clock_finding,
    encryption_findings,
    files_finding,
    folder_findings,
    listening_finding,
    login_finding,
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
from node.doctor.local_copy import CopyInspection, copy_finding, inspect_copy
from node.engine.builtin.pool.directory import home_of
from node.engine.three_proxy.binary import version as three_proxy_version
from node.errors import BadIdentity, NodeConfigurationError
from node.settings import Settings, read_settings
from node.state.agent_lock import agent_pid, is_running
from node.state.identity import Identity, read_identity
from shared.bus.logins import try_logins
from shared.doctor.examination import examine, likely_meant
from shared.doctor.findings import Finding, ok, problem, warning

SYSCTL = Path("/proc/sys/net")
SUBSTITUTES = (Path("/tmp"), Path("/dev/shm"), Path("/"))  # noqa: S108 (nothing is written there)


async def findings(env: Mapping[str, str] = os.environ) -> list[Finding]:
    """Examine the node with this environment."""
    try:
        settings, errors = readable_settings(env)
    except NodeConfigurationError as error:
        advice = {"NODE_DATA_DIR": "run the doctor as the agent's user, on a writable file system"}
        return [problem("settings", str(each), advice.get(each.variable, "correct it")) for each in error.errors()]
    examination = await asyncio.to_thread(NodeExamination.begin, settings)
    advice = "correct it and run the doctor again; the other checks used its default"
    invalid = [problem("settings", f"{error}{likely_meant(error.variable, env)}", advice) for error in errors]
    checks = {
        "data directory": examination.check_folder,
        "identity": examination.check_identity,
        "local copy": examination.check_copy,
        "agent": examination.check_agent,
        "broker": examination.check_broker,
        "clock": examination.check_clock,
        "engines": examination.check_engines,
        "TLS certificate": examination.check_certificate,
        "network": examination.check_network,
    }
    return [*(invalid or [ok("settings", "valid")]), *await examine(checks)]


def readable_settings(env: Mapping[str, str]) -> tuple[Settings, list[NodeConfigurationError]]:
    """Read the settings, with defaults for invalid ones, and collect their errors.

    Reading settings creates the data directory; a substitute directory prevents that here. Raises
    NodeConfigurationError when this user can write nowhere.
    """
    data_dir = Path(env.get("NODE_DATA_DIR") or DATA_DIR).absolute()
    writable = [each for each in (data_dir, *SUBSTITUTES) if each.is_dir() and os.access(each, os.W_OK | os.X_OK)]
    patched, errors = {**env, "NODE_DATA_DIR": str(next(iter(writable), data_dir))}, list[NodeConfigurationError]()
    try:
        settings = read_settings(patched)
    except NodeConfigurationError as error:
        errors = error.errors()
        if any(each.variable == "NODE_DATA_DIR" for each in errors):
            raise
        settings = read_settings({**patched, **{each.variable: "" for each in errors}})
    return settings.model_copy(update={"data_dir": data_dir}), errors


@dataclass
class NodeExamination:
    """The checks, and the facts that several of them share. `identity_error`: why the identity cannot be read."""

    settings: Settings
    runs: bool
    identity: Identity | None
    identity_error: str
    copy: CopyInspection

    @classmethod
    def begin(cls, settings: Settings) -> "NodeExamination":
        """Read the agent's lock, the identity and the local copy."""
        runs, identity, identity_error = False, None, ""
        try:
            runs = is_running(settings)
            identity = read_identity(settings.identity_file)
        except (BadIdentity, OSError) as error:
            identity_error = str(error)
        return cls(settings, runs, identity, identity_error, inspect_copy(settings.copy_file, live=runs))

    async def check_folder(self) -> list[Finding]:
        """Check the data directory."""
        return folder_findings(await asyncio.to_thread(folder_at, self.settings.data_dir))

    async def check_identity(self) -> list[Finding]:
        """Check the identity, and that other users cannot read its login."""
        if self.identity_error:
            return [problem("identity", self.identity_error, "run the doctor as the agent's user")]
        if self.identity is None:
            return [ok("identity", "none yet: this node waits to be enrolled"), await self._enrolment()]
        config, mode = self.identity.config, self.settings.identity_file.stat().st_mode & 0o777
        found = [ok("identity", f"node {config.node_id} ({config.name}) of cluster {config.cluster}")]
        if mode & 0o077:
            text = f"{self.settings.identity_file} holds the broker login and other users may read it (mode {mode:o})"
            found.append(problem("identity", text, f"chmod 600 {self.settings.identity_file}"))
        if self.identity.challenge is not None:
            text = "enrolled, but the broker has not accepted the login yet"
            found += [warning("identity", text, "see `broker` below"), await self._enrolment()]
        return found

    async def _enrolment(self) -> Finding:
        """Check that the agent listens for the master, or could."""
        endpoint = f"{self.settings.enrol_host}:{self.settings.enrol_port}"
        failure = bind_failure(self.settings.enrol_host, self.settings.enrol_port)
        if self.runs and failure == errno.EADDRINUSE:
            return ok("enrolment port", f"the agent listens on {endpoint}")
        if self.runs:
            advice = "see the agent's log for the reason, then restart it"
            return warning("enrolment port", f"the agent does not listen on {endpoint}", advice)
        if failure:
            text = f"cannot listen on {endpoint}: {os.strerror(failure)}"
            return problem("enrolment port", text, "end the program that uses it (`ss -ltnp`), or set NODE_ENROL_PORT")
        return ok("enrolment port", f"{endpoint} is free")

    async def check_copy(self) -> list[Finding]:
        """Check the local copy."""
        return [copy_finding(self.copy, self.identity.owner if self.identity else None)]

    async def check_agent(self) -> list[Finding]:
        """Check that the agent runs, and its limit on open files (this process's own while it does not run)."""
        pid = agent_pid(self.settings) if self.runs else None
        soft, hard = file_limits(pid)
        enrolled = self.identity is not None
        if self.identity_error and not self.runs:
            unknown = warning("agent", "cannot find out whether it runs", "see `identity` above")
            return [unknown, files_finding(soft, hard)]
        return [agent_finding(runs=self.runs, enrolled=enrolled), files_finding(soft, hard)]

    async def check_broker(self) -> list[Finding]:
        """Log in to the broker with the node's own login."""
        if self.identity is None:
            return [ok("broker", "not checked: its address is part of the identity")]
        moves, queue = self.identity.moves, self.identity.config.queue
        used = moves.current.addresses
        logins = await try_logins(used, queue=queue)
        found = login_findings(logins, user=used.login[0], agent_runs=self.runs)
        if all(login.state != "accepted" for login in logins):
            kept = [await try_logins(each.addresses, queue=queue) for each in moves.previous]
            found += [login_finding(login, used.login[0]) for each in kept for login in each]
        return [*move_findings(moves), *found, *encryption_findings(used, logins, datetime.now(UTC))]

    async def check_clock(self) -> list[Finding]:
        """Check the clock, as far as this host alone can."""
        behind = 0.0
        with suppress(OSError):
            behind = self.settings.identity_file.stat().st_mtime - time.time()
        return [clock_finding(synchronised=clock_synchronised(), behind_s=behind)]

    async def check_engines(self) -> list[Finding]:
        """Check the 3proxy binary, the built-in engine's workers, and which proxies accept connections."""
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

    async def check_certificate(self) -> list[Finding]:
        """Check the certificate for clients that speak TLS."""
        return await asyncio.to_thread(certificate_findings, self.settings)

    async def check_network(self) -> list[Finding]:
        """Check addresses, ports and limits of the kernel."""
        low, high = map(int, (SYSCTL / "ipv4/ip_local_port_range").read_text().split())
        reserved = reserved_ports(read_text(SYSCTL / "ipv4/ip_local_reserved_ports"))
        used, size = (read_text(SYSCTL / f"netfilter/nf_conntrack_{name}") for name in ("count", "max"))
        queue = read_text(SYSCTL / "core/somaxconn")
        return [
            *listen_findings(self.settings.listen),
            *port_findings(set(self.copy.ports.values()), (low, high), reserved),
            *await asyncio.to_thread(exit_findings, self.copy.required),
            ok("IPv6", "a global address" if has_global_ipv6() else "no global address: proxies reach IPv4 only"),
            *room_findings((int(used), int(size)) if used and size else None, int(queue) if queue else None),
        ]


def listen_findings(listen: str | None) -> Sequence[Finding]:
    """Check that NODE_LISTEN is an address of this host."""
    failed = bind_failure(listen, 0) if listen else 0
    if not failed:
        return [ok("NODE_LISTEN", listen or "every address of this host")]
    text = f"cannot listen on {listen}: {os.strerror(failed)}"
    return [problem("NODE_LISTEN", text, "set it to an address of this host (`ip address`), or unset it for all")]
