"""The keys of all invitations in memory, so that checking an announcement costs no statement."""

import asyncio
import time
from collections.abc import Mapping

from master.db.database import Database

FRESH_S = 10.0
"""A key may be used for so long after it was read. Whether its invitation is open is read each time."""
MISSING_S = 0.5
"""An id that is not known may be that of a new invitation, so keys are read again, but no more often than this."""


class InvitationKeys:
    """Look up keys by the id of their invitation."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._keys: Mapping[int, bytes] = {}
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def key_of(self, id_: int) -> bytes | None:
        """Return the key, also of a removed invitation; None if there is no such invitation. Raises DatabaseError."""
        async with self._reading:
            age = time.monotonic() - self._read_at
            if age > (FRESH_S if id_ in self._keys else MISSING_S):
                self._keys = await self._read()
                self._read_at = time.monotonic()
        return self._keys.get(id_)

    async def _read(self) -> Mapping[int, bytes]:
        async with self._database.session() as session:
            rows = await session.rows("invitations.select_keys")
        return {row["id"]: bytes.fromhex(row["key"]) for row in rows}
