"""Detects streams that are fast enough for the kernel to batch their reads, without I/O."""

BULK_BATCH = 1048576
"""Bytes to wait for before a fast stream is read. Reading them as they come takes up to twice the processor time."""
BULK_WAIT_S = 0.008
"""The longest wait for them: when a fast stream pauses, its last piece arrives so much later."""

_SAMPLE_BYTES = 8 * BULK_BATCH
_SAMPLE_S = 8 * BULK_WAIT_S
_FAST_FOR_S = 0.05
"""How long a stream must have been fast before its reads are batched, at first and after each pause."""


class BulkDetector:
    """Measures the speed of one direction of a tunnel in samples of a few MiB."""

    __slots__ = ("_fast_since", "_moved", "_sample_since", "is_batching")

    def __init__(self, now: float) -> None:
        self.begin(now)

    def begin(self, now: float) -> None:
        """Start measuring, or start over after a pause."""
        self.is_batching = False
        self._fast_since = self._sample_since = now
        self._moved = 0

    def is_fast(self, count: int, now: float) -> bool:
        """Count one piece, and return whether the next read should wait for a whole batch."""
        if self.is_batching:
            return count >= BULK_BATCH
        self._moved += count
        if self._moved < _SAMPLE_BYTES:
            return False
        if now - self._sample_since > _SAMPLE_S:
            self._fast_since = now
        self._sample_since, self._moved = now, 0
        return now - self._fast_since >= _FAST_FOR_S
