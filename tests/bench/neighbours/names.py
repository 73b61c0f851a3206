"""Look-ups of names whose servers never answer, beside a proxy that asks for a good one.

The engine's real resolver, with the system's replaced by one that waits for names under `.dead`, as glibc does for a
silent name server (5 s, twice); nothing is sent.
"""

import asyncio
import socket
import time
from typing import Any

from node.engine.builtin.net.dns import resolver
from node.engine.builtin.net.dns.resolver import Address, Resolver

ATTACKERS, NAMES = (1, 3, 4, 8), 24
SILENT_S, USUAL_S = 5.0, 0.02
GOOD = 5

_real = socket.getaddrinfo


def _slow(host: bytes, *arguments: Any, **options: Any) -> Any:
    if host.endswith(b".dead"):
        time.sleep(SILENT_S)
        raise OSError("no answer")
    time.sleep(USUAL_S)
    return _real("127.0.0.1", None, type=socket.SOCK_STREAM)


async def starved() -> float:
    """The longest that a good name took, in milliseconds."""
    resolver.socket.getaddrinfo = _slow  # pyright: ignore
    try:
        return max([await _beside(count) for count in ATTACKERS])
    finally:
        resolver.socket.getaddrinfo = _real  # pyright: ignore


async def _beside(attackers: int) -> float:
    asked = Resolver(asyncio.get_running_loop())
    try:
        for proxy in range(attackers):
            for number in range(NAMES):
                asked.look_up(f"{proxy}-{number}.dead", _nothing, 1000 + proxy)
        return max([await _took_ms(asked, f"good-{number}.example") for number in range(GOOD)])
    finally:
        asked.close()


async def _took_ms(asked: Resolver, host: str) -> float:
    began, found = time.perf_counter(), asyncio.Event()
    asked.look_up(host, lambda _: found.set(), 1)
    async with asyncio.timeout(4 * SILENT_S):
        await found.wait()
    return (time.perf_counter() - began) * 1000


def _nothing(addresses: tuple[Address, ...]) -> None:
    del addresses
