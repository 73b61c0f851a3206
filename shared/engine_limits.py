"""What an engine cannot do for a proxy: told by name before it is tried."""

from collections.abc import Iterator

from shared.proxies import EngineName, Exit, ExitMode, Limits, ProxyRecord

THREE_PROXY_BANDWIDTH_BPS = 50_000_000
"""3proxy counts a transfer's duration in whole microseconds per 64 bytes (limiter.c): up to here a limit is held within
5 %, above it the error grows until there is no limit at all."""

THREE_PROXY_EXITS: dict[ExitMode, str] = {
    "ipv6_random": "draw addresses that can be traced back to their proxy",
    "ipv6_session": "keep an address for a session",
}

THREE_PROXY_TRAFFIC = (
    "hold a traffic limit: it counts whole megabytes, adds a connection when it ends and forgets them when it is killed"
)
THREE_PROXY_EXPIRY = "end at a moment: its rules know hours of the day and days of the week"
THREE_PROXY_BANDWIDTH = f"hold a bandwidth of more than {THREE_PROXY_BANDWIDTH_BPS} bits/s"

THREE_PROXY_PORTS = "listen on a second port while the first one drains"


def unsupported(engine: EngineName, exit_: Exit, limits: Limits) -> list[tuple[str, str]]:
    """(field, reason for a person) of everything that this engine would have to ignore; `exit.mode` is such a field."""
    return (
        []
        if engine == "builtin"
        else [(field, refusal_text(cannot)) for field, cannot in three_proxy_limits(exit_, limits)]
    )


def unportable(engine: EngineName) -> str | None:
    """Why this engine cannot change a proxy's port by make before break, as a reason for a person."""
    return refusal_text(THREE_PROXY_PORTS) if engine == "3proxy" else None


def unsupported_of(engine: EngineName, record: ProxyRecord) -> list[str]:
    """Reasons for a person of everything in the record that this engine would have to ignore."""
    several = unportable(engine) if len(record.ports) > 1 else None
    reasons = [reason for _, reason in unsupported(engine, record.exit, record.limits)]
    return [*reasons, several] if several else reasons


def refusal_text(cannot: str) -> str:
    return f"3proxy cannot {cannot}: use the builtin engine"


def three_proxy_limits(exit_: Exit, limits: Limits) -> Iterator[tuple[str, str]]:
    if exit_.mode in THREE_PROXY_EXITS:
        yield "exit.mode", THREE_PROXY_EXITS[exit_.mode]
    if limits.bandwidth_bps is not None and limits.bandwidth_bps > THREE_PROXY_BANDWIDTH_BPS:
        yield "limits.bandwidth_bps", THREE_PROXY_BANDWIDTH
    if limits.traffic_bytes is not None:
        yield "limits.traffic_bytes", THREE_PROXY_TRAFFIC
    if limits.expires_at is not None:
        yield "limits.expires_at", THREE_PROXY_EXPIRY
