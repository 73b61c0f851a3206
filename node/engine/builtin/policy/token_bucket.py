"""A token bucket: how many bytes may move now, decided without I/O."""

DEPTH_S = 0.2
"""How much of the rate may be saved up: 2 % of what moves in ten seconds, and room for a late turn."""
LEAST = 1500
"""Bytes that are worth a system call, and a datagram; slow buckets are at least as deep."""


class TokenBucket:
    """`rate` in bytes a second, times in seconds of any clock that does not go back. It may be overdrawn."""

    __slots__ = ("_at", "level", "rate")

    def __init__(self, rate: float, now: float) -> None:
        self.rate = rate
        self.level = self.depth
        self._at = now

    @property
    def depth(self) -> float:
        return max(self.rate * DEPTH_S, LEAST)

    def fill(self, now: float) -> None:
        if now > self._at:
            self.level = min(self.depth, self.level + (now - self._at) * self.rate)
            self._at = now

    def spend(self, count: int) -> None:
        self.level -= count

    def retune(self, rate: float, now: float) -> None:
        """Another rate from now on; what was saved up or overdrawn stays, as far as the new depth allows."""
        self.fill(now)
        self.rate = rate
        self.level = min(self.depth, self.level)

    def wait(self) -> float:
        """Seconds until there is something worth giving."""
        return max(0.0, (LEAST - self.level) / self.rate)


def shares(level: float, waiting: int) -> tuple[int, int]:
    """(how many of those who wait are served now, bytes for each): as many as can get something worth giving."""
    served = min(waiting, max(0, int(level)) // LEAST)
    return (served, int(level) // served) if served else (0, 0)
