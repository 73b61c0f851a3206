"""Limits of the engines: settings that an engine cannot carry out, refused by name when a proxy is placed."""

from collections.abc import Iterator

from shared.proxies import EngineName, Exit, ExitMode, Limits, ProxyRecord

THREE_PROXY_BANDWIDTH_BPS = 50_000_000
"""Highest bandwidth that 3proxy limits. It counts the duration of a transfer in whole microseconds per 64 bytes
(limiter.c): up to this bandwidth the limit is exact within 5 %, above it the error grows until nothing is limited."""

THREE_PROXY_EXITS: dict[ExitMode, str] = {
    "ipv6_random": "use random addresses that can be traced back to their proxy",
    "ipv6_session": "keep an address for a session",
}

THREE_PROXY_TRAFFIC = (
    "enforce a traffic limit: it counts whole megabytes, only when a connection ends, and loses its counts when killed"
)
THREE_PROXY_EXPIRY = "expire at a point in time: its rules only know hours of the day and days of the week"
THREE_PROXY_BANDWIDTH = f"enforce a bandwidth limit above {THREE_PROXY_BANDWIDTH_BPS} bits/s"

THREE_PROXY_TLS = "speak TLS with clients"

THREE_PROXY_PORTS = "listen on a second port while the first one drains"


def unsupported(engine: EngineName, exit_: Exit, limits: Limits, *, tls: bool = False) -> list[tuple[str, str]]:
    """List (field, reason for a person) of the settings that this engine cannot carry out. `exit.mode` is a field."""
    return (
        []
        if engine == "builtin"
        else [(field, refusal_text(cannot)) for field, cannot in three_proxy_limits(exit_, limits, tls=tls)]
    )


def unportable(engine: EngineName) -> str | None:
    """Return why this engine cannot open a new port before it closes the old one; None if it can."""
    return refusal_text(THREE_PROXY_PORTS) if engine == "3proxy" else None


def unsupported_of(engine: EngineName, record: ProxyRecord) -> list[str]:
    """List the reasons, for a person, why this engine cannot carry out the record."""
    second_port = unportable(engine) if len(record.ports) > 1 else None
    reasons = [reason for _, reason in unsupported(engine, record.exit, record.limits, tls=record.tls)]
    return [*reasons, second_port] if second_port else reasons


def refusal_text(cannot: str) -> str:
    return f"3proxy cannot {cannot}: use the builtin engine"


def three_proxy_limits(exit_: Exit, limits: Limits, *, tls: bool) -> Iterator[tuple[str, str]]:
    if tls:
        yield "tls", THREE_PROXY_TLS
    if exit_.mode in THREE_PROXY_EXITS:
        yield "exit.mode", THREE_PROXY_EXITS[exit_.mode]
    if limits.bandwidth_bps is not None and limits.bandwidth_bps > THREE_PROXY_BANDWIDTH_BPS:
        yield "limits.bandwidth_bps", THREE_PROXY_BANDWIDTH
    if limits.traffic_bytes is not None:
        yield "limits.traffic_bytes", THREE_PROXY_TRAFFIC
    if limits.expires_at is not None:
        yield "limits.expires_at", THREE_PROXY_EXPIRY
