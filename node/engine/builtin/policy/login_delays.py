"""Slows down password guessing: after some failed logins of a source, answers to further failures are delayed.

Only failures are delayed. A correct login is served at once, whatever other clients of the same address do.
"""

from node.engine.builtin.policy.source_limits import group

FREE = 5
"""Failures of one source that are answered at once: people mistype, and programs keep an old password for a while."""
LONGEST_S = 4.0
FORGET_S = 120.0
"""Time after the last failure when a source is forgotten."""

_FIRST_S = 0.25
_MAX_SOURCES = 8192
"""Sources remembered at once, over all proxies; beyond it the one that failed longest ago is forgotten."""

SourceKey = tuple[int, str]
"""(proxy id, IPv4 address or IPv6 /64)"""


class LoginDelays:
    """Failures by proxy and source, the most recent last."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[SourceKey, tuple[int, float]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def delay(self, proxy_id: int, source: str, now: float) -> float:
        """Count one more failure, and return the seconds to wait before it is answered."""
        key = proxy_id, group(source)
        count, last = self._known.pop(key, (0, now))
        count = count + 1 if now - last < FORGET_S else 1
        self._known[key] = count, now
        if len(self._known) > _MAX_SOURCES:
            del self._known[next(iter(self._known))]
        return delay_of(count)

    def trim(self, now: float) -> None:
        """Forget the sources that have not failed for a while."""
        while self._known:
            key, (_, last) = next(iter(self._known.items()))
            if now - last < FORGET_S:
                return
            del self._known[key]


def delay_of(failures: int) -> float:
    """Seconds to wait before answering the last of so many failures."""
    return min(_FIRST_S * 2 ** min(failures - FREE - 1, 16), LONGEST_S) if failures > FREE else 0.0
