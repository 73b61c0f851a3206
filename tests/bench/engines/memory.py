"""What a connection that does nothing costs a proxy in memory."""

import asyncio
from dataclasses import dataclass

from tests.bench.engines.contenders import Ground, Running, running
from tests.bench.engines.generator import Generator, LoadError
from tests.bench.engines.measuring import own_bytes

WARM = 100
"""Connections before the first look, so that what is taken once is not counted."""

KIB = 1024
LOOK_S = 0.5
LOOKS = 40


@dataclass(frozen=True)
class Held:
    """Anonymous memory of the proxy's processes: neither files nor what the kernel holds is in it."""

    contender: str
    kind: str
    relays: int
    before_bytes: int
    after_bytes: int
    lost: int

    @property
    def each_kib(self) -> float:
        return (self.after_bytes - self.before_bytes) / KIB / self.relays


async def held(name: str, ground: Ground, generator: Generator, kind: str, relays: int) -> Held:
    """Of a fresh process. Raises StartError, LoadError."""
    async with running(name, ground) as fresh:
        options = _options(fresh, ground, kind)
        await generator.run(**options | {"hold": "", "size": 64}, connections=10, total=WARM)
        before = await _settled(fresh.roots)
        async with generator.holding(**options, connections=relays) as told:
            after = await _settled(fresh.roots)
        if told[0].done < relays:
            raise LoadError(f"only {told[0].done} of {relays} relays: {told[0].reason}")
    return Held(name, kind, relays, before, after, told[0].lost)


def _options(fresh: Running, ground: Ground, kind: str) -> dict[str, object]:
    how = "connect" if fresh.http else "socks5" if fresh.socks5 else "direct"
    return {
        "how": how,
        "to": fresh.http or fresh.socks5 or fresh.relay or "",
        "origin": ground.origin,
        "anonymous": fresh.anonymous,
        "hold": kind,
        "size": 64 if kind == "idle" else 10**12,
    }


async def _settled(roots: tuple[int, ...]) -> int:
    """When two looks in a row tell the same within 64 KiB, or after a while."""
    last = own_bytes(roots)
    for _ in range(LOOKS):
        await asyncio.sleep(LOOK_S)
        now = own_bytes(roots)
        if abs(now - last) < 64 * KIB:
            return now
        last = now
    return last
