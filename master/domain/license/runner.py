"""Takes the licence key of the settings, also when its file changes, and announces what becomes of the licence."""

import asyncio
from collections.abc import Callable

import structlog

from master.db.background import keep_on
from master.db.database import Database
from master.domain.license import service as license_
from master.domain.license.keys import BadLicense, read_license
from master.domain.license.schemas import UnusableKey

log = structlog.get_logger()

LOOK_EVERY_S = 60.0

Configured = Callable[[], tuple[str, str] | None]
"""Returns the variable and the text of the licence key, or None. Raises OSError, ValueError for an unusable file."""


class LicenseRunner:
    """Look at the settings and at the licence once a minute."""

    def __init__(self, database: Database, configured: Configured) -> None:
        self._database, self._configured = database, configured
        self.problem: UnusableKey | None = None

    async def run(self) -> None:
        """Run until cancelled."""
        await keep_on(self._turn, "license", most_s=LOOK_EVERY_S)

    async def _turn(self) -> None:
        await self.look()
        await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """Install the configured key, and announce a new stage. Raises DatabaseError."""
        key = await asyncio.to_thread(self._readable_key)
        async with self._database.transaction() as session:
            if key is not None:
                await license_.install(session, key, "environment")
            await license_.announce(session)

    def _readable_key(self) -> str | None:
        """Return the configured key if it can be used; the reason why not is logged once."""
        key, problem = configured_key(self._configured)
        if problem is not None and problem != self.problem:
            log.error("license.unusable", setting=problem.setting, reason=problem.reason)
        self.problem = problem
        return key


def configured_key(configured: Configured) -> tuple[str | None, UnusableKey | None]:
    """Return the configured key, or why it cannot be used; (None, None) without one. Reads its file."""
    try:
        given = configured()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        return None, UnusableKey(setting="LICENSE_KEY_FILE", reason=f"the file cannot be read: {why}")
    if given is None:
        return None, None
    try:
        read_license("".join(given[1].split()))
    except BadLicense as error:
        return None, UnusableKey(setting=given[0], reason=f"the key {error}")
    return given[1], None
