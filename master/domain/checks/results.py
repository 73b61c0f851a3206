"""What the answers of a proxy and of a destination behind it mean for a check. Pure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, cast

from master.domain.checks.schemas import CheckStep

PROXY_AUTHENTICATION_REQUIRED = 407
FORBIDDEN = 403
TOO_MANY_REQUESTS = 429
NOT_ALLOWED = 2
"""Of a client that has logged in: the proxy's limits, or where it may connect to."""
SUCCESSES = range(200, 300)
MOST_REASON = 200

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
    """Where a proxy serves, and by which login."""

    host: str
    port: int
    protocol: str
    engine: str
    allow_ips: Sequence[str]
    username: str | None
    password: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class ProbeFailure(Exception):
    """The step that failed, and why, for a person. `limited`: the proxy serves, but is held by its limits for now."""

    step: CheckStep
    reason: str
    limited: bool = False


def connect_failure(status: int, body: bytes) -> ProbeFailure | None:
    """What the answer to CONNECT means; None: the way is open."""
    if status in SUCCESSES:
        return None
    reason = words(body) or f"the proxy answered CONNECT with {status}"
    if status == PROXY_AUTHENTICATION_REQUIRED:
        return ProbeFailure("login", "the proxy does not accept the login")
    if status in (FORBIDDEN, TOO_MANY_REQUESTS) and "destination" not in reason:
        return ProbeFailure("login", reason, limited=status == TOO_MANY_REQUESTS)
    return ProbeFailure("destination", reason)


def method_failure(method: int) -> ProbeFailure | None:
    """What a SOCKS5 server's choice of a method means (RFC 1928 §3)."""
    if method in (0, 2):
        return None
    return ProbeFailure("login", "the proxy accepts neither the login nor this address")


def reply_failure(reply: int) -> ProbeFailure | None:
    """What a SOCKS5 reply means."""
    if reply == 0:
        return None
    reason = SOCKS_REPLIES.get(reply, f"the proxy answered {reply}")
    return ProbeFailure("destination", reason, limited=reply == NOT_ALLOWED)


def answer_failure(status: int) -> ProbeFailure | None:
    """What the destination's own status means."""
    return None if status in SUCCESSES else ProbeFailure("answer", f"the destination answered {status}")


def exit_ip(body: bytes) -> str | None:
    """The address that the destination saw: {"ip": ...} or the bare address; None when it tells none."""
    text = body.decode("ascii", "replace").strip()
    try:
        told: Any = json.loads(text)
    except ValueError:
        told = {"ip": text}
    found = cast("dict[str, Any]", told).get("ip") if isinstance(told, dict) else None
    try:
        return str(ip_address(found)) if isinstance(found, str) else None
    except ValueError:
        return None


def serves(endpoint: Endpoint, failure: ProbeFailure | None, *, has_echo: bool) -> bool:
    """Whether a proxy that gives this result is good enough to be handed to clients.

    One that is open to certain addresses only need not let the master in, and one at its limits is well. Without an
    echo behind it (3proxy has none) nothing can be said of destinations.
    """
    if failure is None or failure.limited:
        return True
    if failure.step == "login":
        return bool(endpoint.allow_ips)
    return failure.step in ("destination", "answer") and not has_echo


def words(body: bytes) -> str:
    """The first line of a plain body."""
    line = body.decode("ascii", "replace").strip().partition("\n")[0]
    return "" if line.startswith("<") else line[:MOST_REASON]
