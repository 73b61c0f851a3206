"""Whether a stream is so fast that the kernel should gather what comes of it, decided without I/O."""

GATHERED = 1048576
"""Bytes for which a fast stream is waited for; taken as they come, they cost up to twice the processor's time."""
GATHER_S = 0.008
"""For which they may be waited for: when a fast stream pauses, its last piece comes so much later."""

_SPELL = 8 * GATHERED
_SPELL_S = 8 * GATHER_S
_ENOUGH_S = 0.05
"""Of being fast, before a stream is gathered, and again after each pause."""


class BulkDetector:
    """One direction of a tunnel, measured by spells of a few MiB. `gathers`: it is waited for."""

    __slots__ = ("_brisk_since", "_moved", "_spell_since", "gathers")

    def __init__(self, now: float) -> None:
        self.begin(now)

    def begin(self, now: float) -> None:
        """Nothing is known of its speed, or any more."""
        self.gathers = False
        self._brisk_since = self._spell_since = now
        self._moved = 0

    def is_brisk(self, count: int, now: float) -> bool:
        """Told of each piece: whether to wait for as much again."""
        if self.gathers:
            return count >= GATHERED
        self._moved += count
        if self._moved < _SPELL:
            return False
        if now - self._spell_since > _SPELL_S:
            self._brisk_since = now
        self._spell_since, self._moved = now, 0
        return now - self._brisk_since >= _ENOUGH_S
