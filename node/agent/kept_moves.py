"""The moves between addresses of the broker, as they are on disk: one decision after the other."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import structlog

from node.state.broker_moves import FailedMove, NodeMoves

log = structlog.get_logger()

NOT_WRITTEN = "the node cannot write its identity; see its log"

Decide = Callable[[NodeMoves], NodeMoves]
"""A decision, which returns the same value if it changes nothing."""


class KeptMoves:
    """The moves of this moment (`now`). `on_change` is called after each change."""

    def __init__(self, moves: NodeMoves, keep: Callable[[NodeMoves], Awaitable[None]]) -> None:
        """`keep` writes moves to disk. Raises OSError."""
        self.now, self._keep = moves, keep
        self.on_change: Callable[[], None] = lambda: None
        self._changing = asyncio.Lock()
        """Held from a decision until it is on disk."""

    async def note(self, decide: Decide, *, must_keep: bool = False) -> bool:
        """Decide and write; False if nothing has changed, or if it must be on disk and the disk refuses.

        Without `must_keep` the decision counts until the next start, whatever the disk does.
        """
        async with self._changing:
            moves = decide(self.now)
            if moves is self.now or (not await self._is_written(moves) and must_keep):
                return False
            self.now = moves
        self.on_change()
        return True

    async def take(self, decide: Decide, rev: int) -> None:
        """Take the request of this revision, which is on disk when this returns. One that cannot be written fails."""

        def fail(moves: NodeMoves) -> NodeMoves:
            return moves if decide(moves) is moves else replace(moves, failed=FailedMove(rev, NOT_WRITTEN))

        if not await self.note(decide, must_keep=True):
            await self.note(fail)

    async def _is_written(self, moves: NodeMoves) -> bool:
        try:
            await self._keep(moves)
        except OSError as error:
            log.error("identity.write_failed", reason=error.strerror)
            return False
        return True
