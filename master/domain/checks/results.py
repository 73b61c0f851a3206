"""The meaning of a proxy's and a destination's answers for a check. Pure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, cast

from master.domain.proxies.proxy_parts import CheckStep

PROXY_AUTHENTICATION_REQUIRED = 407
FORBIDDEN = 403
TOO_MANY_REQUESTS = 429
NOT_ALLOWED = 2
"""The SOCKS5 reply to a client that has logged in and meets a limit, or a destination that is not allowed."""
SUCCESSES = range(200, 300)
MAX_REASON = 200

SOCKS_REPLIES = {
    1: "the proxy could not do it",
    2: "the proxy does not allow it",
    3: "the destination's network cannot be reached",
    4: "the destination cannot be reached",
    5: "the destination refused the connection",
    6: "the destination did not answer in time",
    7: "the proxy does not know CONNECT",
    8: "the proxy does not know this kind of address",
}
"""RFC 1928 §6."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """The address of a proxy and its login."""

    host: str
    port: int
    protocol: str
    tls: bool
    engine: str
    allow_ips: Sequence[str]
    username: str | None
    password: str | None = field(repr=False)


@dataclass
class ProbeFailure(Exception):
    """The step that failed, and why, for a person. A `limited` proxy works, but its limits stop it for now."""

    step: CheckStep
    reason: str
    limited: bool = False


def connect_failure(status: int, body: bytes) -> ProbeFailure | None:
    """Interpret the answer to CONNECT; None is success."""
    if status in SUCCESSES:
        return None
    reason = first_line(body) or f"the proxy answered CONNECT with {status}"
    if status == PROXY_AUTHENTICATION_REQUIRED:
        return ProbeFailure("login", "the proxy does not accept the login")
    if status in (FORBIDDEN, TOO_MANY_REQUESTS) and "destination" not in reason:
        return ProbeFailure("login", reason, limited=status == TOO_MANY_REQUESTS)
    return ProbeFailure("destination", reason)


def method_failure(method: int) -> ProbeFailure | None:
    """Interpret a SOCKS5 server's choice of a method (RFC 1928 §3); None is success."""
    if method in (0, 2):
        return None
    return ProbeFailure("login", "the proxy accepts neither the login nor this address")


def reply_failure(reply: int) -> ProbeFailure | None:
    """Interpret a SOCKS5 reply; None is success."""
    if reply == 0:
        return None
    reason = SOCKS_REPLIES.get(reply, f"the proxy answered {reply}")
    return ProbeFailure("destination", reason, limited=reply == NOT_ALLOWED)


def answer_failure(status: int) -> ProbeFailure | None:
    """Interpret the destination's status; None is success."""
    return None if status in SUCCESSES else ProbeFailure("answer", f"the destination answered {status}")


def exit_ip(body: bytes) -> str | None:
    """Return the address that the destination saw, from {"ip": ...} or a bare address; None without one."""
    text = body.decode("ascii", "replace").strip()
    try:
        answer: Any = json.loads(text)
    except ValueError:
        answer = {"ip": text}
    found = cast("dict[str, Any]", answer).get("ip") if isinstance(answer, dict) else None
    try:
        return str(ip_address(found)) if isinstance(found, str) else None
    except ValueError:
        return None


def serves(endpoint: Endpoint, failure: ProbeFailure | None, *, has_echo: bool) -> bool:
    """Return whether a proxy with this result can be given to clients.

    A proxy that allows certain addresses only may refuse the master, and a proxy at its limits works. Without an echo
    service behind the proxy (3proxy has none), a failed destination proves nothing.
    """
    if failure is None or failure.limited:
        return True
    if failure.step == "login":
        return bool(endpoint.allow_ips)
    return failure.step in ("destination", "answer") and not has_echo


def first_line(body: bytes) -> str:
    """Return the first line of a plain-text body."""
    line = body.decode("ascii", "replace").strip().partition("\n")[0]
    return "" if line.startswith("<") else line[:MAX_REASON]
