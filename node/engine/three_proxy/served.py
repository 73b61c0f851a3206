"""A proxy together with its 3proxy process."""

import hashlib
from dataclasses import dataclass

from node.engine.interface import Condition
from node.engine.three_proxy.configuration import exit_address
from node.engine.three_proxy.listening import has_listener, listener
from node.engine.three_proxy.process import Process, boot_id, start_time
from node.engine.three_proxy.state import ProcessState
from shared.proxies import ProxyId, ProxyRecord, Version


@dataclass(frozen=True)
class Served:
    """A proxy and its process."""

    state: ProcessState
    process: Process

    @property
    def accepts(self) -> bool:
        return has_listener(self.state.pid, self.state.listener_fd, self.state.listener)


def state_of(proxy: ProxyRecord, stem: str, text: str, pid: int) -> ProcessState:
    """The state to record of a process that accepts connections. Raises OSError, LookupError."""
    descriptor, name = listener(pid, proxy.port)
    return ProcessState(
        id=ProxyId(proxy.id),
        version=Version(proxy.version),
        port=proxy.port,
        digest=digest(text),
        stem=stem,
        boot=boot_id(),
        pid=pid,
        started=start_time(pid),
        listener_fd=descriptor,
        listener=name,
        exit_address=str(exit_address(proxy.exit) or ""),
    )


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def stopped(pid: int) -> Condition:
    """The condition of a process that a signal has stopped. SIGCONT is no remedy: 3proxy takes it for its own pause."""
    remedy = f"end it (kill -KILL {pid}), and the agent starts another"
    return Condition("failed", f"3proxy process {pid} was stopped by a signal: {remedy}")
