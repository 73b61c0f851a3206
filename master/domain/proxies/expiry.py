"""A proxy ends in the future, unless the asker says that it is meant to end at once."""

from collections.abc import Iterable, Mapping
from typing import Any

from master.db.database import Session
from master.errors import pointed
from master.schemas.timestamps import read_timestamp, rfc_3339

ProxySettings = Mapping[str, Any]
POINTER = "/limits/expires_at"


def new_ends(changes: Iterable[tuple[ProxySettings, ProxySettings]]) -> set[str]:
    """Each `expires_at` that settings (before, after) do not have yet. What was so before may lie in the past."""
    ends = {(before["limits"].get("expires_at"), after["limits"].get("expires_at")) for before, after in changes}
    return {after for before, after in ends if after is not None and after != before}


async def check_ends(
    session: Session, changes: Iterable[tuple[ProxySettings, ProxySettings]], *, allow_past: bool
) -> None:
    """Raises Invalid when a proxy would have ended already, by the database's clock."""
    ends = set[str]() if allow_past else new_ends(changes)
    if not ends:
        return
    now, first = await session.value("proxies.clock"), min(map(read_timestamp, ends))
    if first <= now:
        detail = f"{rfc_3339(first)} is in the past; to end proxies at once on purpose, add ?allow_past=true"
        raise pointed(detail, POINTER)


NO_END: ProxySettings = {"limits": {}}
"""What a proxy was before it was made."""
