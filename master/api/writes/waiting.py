"""`Prefer: wait=N`: hold the answer to a write until the nodes have confirmed it."""

from dataclasses import dataclass

from litestar import Response

from master.api.encoding import empty
from master.api.requests.reading import ApiRequest, read_wait
from master.api.writes.outcomes import WriteOutcome
from master.db.database import Database
from master.db.notifications import Notifications


@dataclass(frozen=True, kw_only=True, slots=True)
class Preference:
    """The client's preference: seconds to wait for the nodes; None: the answer comes at once."""

    database: Database
    notifications: Notifications
    wait_s: int | None

    @property
    def headers(self) -> dict[str, str]:
        """Reports that the preference was honoured."""
        return {"Preference-Applied": f"wait={self.wait_s}"} if self.wait_s is not None else {}

    async def holds(self, query: str, **parameters: object) -> bool:
        """Whether a query becomes true in time; no connection is held meanwhile. Without a preference it is not run."""
        if self.wait_s is None:
            return True

        async def check() -> bool:
            async with self.database.session() as session:
                return bool(await session.value(query, **parameters))

        return await self.notifications.until(check, self.wait_s)

    async def is_confirmed(self, outcome: WriteOutcome) -> bool:
        """Whether every node that a write concerns confirms it in time."""
        ids, revisions = list(outcome.revisions), list(outcome.revisions.values())
        return await self.holds("waiting.all_confirmed", ids=ids, revisions=revisions)


def preference_of(request: ApiRequest, database: Database, notifications: Notifications) -> Preference:
    """Read Prefer (RFC 7240)."""
    wait_s = read_wait(request.headers.get("prefer"))
    return Preference(database=database, notifications=notifications, wait_s=wait_s)


def etag(version: int) -> dict[str, str]:
    """The version as a strong tag."""
    return {"ETag": f'"{version}"'}


async def removed_response(preference: Preference, outcome: WriteOutcome) -> Response[bytes]:
    """Answer a removal: 204, or 202 when the nodes have not confirmed it in time."""
    return empty(204 if await preference.is_confirmed(outcome) else 202, preference.headers)
