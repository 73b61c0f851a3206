"""Expiry times must lie in the future, unless the request allows times in the past."""

from collections.abc import Iterable, Mapping
from typing import Any

from master.db.database import Session
from master.errors import invalid_at
from master.schemas.timestamps import read_timestamp, rfc_3339

ProxySettings = Mapping[str, Any]
POINTER = "/limits/expires_at"


def new_expiries(changes: Iterable[tuple[ProxySettings, ProxySettings]]) -> set[str]:
    """Return each `expires_at` that a change (before, after) sets. A time that stays may lie in the past."""
    expiries = {(before["limits"].get("expires_at"), after["limits"].get("expires_at")) for before, after in changes}
    return {after for before, after in expiries if after is not None and after != before}


async def check_expiries(
    session: Session, changes: Iterable[tuple[ProxySettings, ProxySettings]], *, allow_past: bool
) -> None:
    """Check by the database's clock that no proxy would have expired already. Raises Invalid."""
    expiries = set[str]() if allow_past else new_expiries(changes)
    if not expiries:
        return
    now, first = await session.value("proxies.clock"), min(map(read_timestamp, expiries))
    if first <= now:
        detail = f"{rfc_3339(first)} is in the past; to end proxies at once on purpose, add ?allow_past=true"
        raise invalid_at(detail, POINTER)


NO_EXPIRY: ProxySettings = {"limits": {}}
"""The settings before a proxy exists."""
