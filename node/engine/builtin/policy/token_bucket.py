"""A token bucket: the number of bytes that may move now, decided without I/O."""

DEPTH_S = 0.2
"""Seconds of the rate that may be saved up: 2 % of what moves in ten seconds, and tolerance for a late wake-up."""
LEAST = 1500
"""The fewest bytes that are worth a system call, and the size of a datagram. Slow buckets are at least as deep."""


class TokenBucket:
    """`rate` is in bytes a second, times are in seconds of a monotonic clock. The level may become negative."""

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
        """Change the rate. Savings and debts stay, as far as the new depth allows."""
        self.fill(now)
        self.rate = rate
        self.level = min(self.depth, self.level)

    def wait(self) -> float:
        """Seconds until at least LEAST bytes may move."""
        return max(0.0, (LEAST - self.level) / self.rate)


def shares(level: float, waiting: int) -> tuple[int, int]:
    """(waiters to serve now, bytes for each): as many waiters as can get at least LEAST bytes each."""
    served = min(waiting, max(0, int(level)) // LEAST)
    return (served, int(level) // served) if served else (0, 0)
