"""Read, install and enforce the licence. Nothing here ever touches nodes and proxies that exist."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from master.db.database import Row, Session
from master.domain.events.log import NewEvent, record_events
from master.domain.events.schemas import EventType
from master.domain.license import keys
from master.domain.license.keys import BadLicense, read_license
from master.domain.license.schemas import License, LicenseSource, LicenseUse, UnusableKey
from master.domain.license.state import (
    LicenseStage,
    LimitedKind,
    grace_until,
    is_later,
    newest,
    refusal_of,
    stage_of,
    state_of,
)
from master.errors import LicenseRefused, invalid_at

EVENTS: dict[LicenseStage, EventType] = {
    "30_days": "license.expiring",
    "14_days": "license.expiring",
    "3_days": "license.expiring",
    "expired": "license.expired",
    "grace_over": "license.grace_over",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Current:
    """The licence that counts with its row, None without one, and the time by which it ends."""

    license: keys.SignedLicense | None
    row: Row | None
    now: datetime


async def show(session: Session, problem: UnusableKey | None) -> License:
    """Return the licence and what it counts. `problem` is that of the master's own settings."""
    current, counts = await read_current(session), await session.row("license.count_all") or {}
    found, row = current.license, current.row or {}
    known: dict[str, Any] = dict.fromkeys(
        ("id", "customer", "signed_by", "issued_at", "valid_from", "valid_to", "grace_until", "source", "received_at")
    )
    if found is not None:
        names = ("id", "customer", "signed_by", "issued_at", "valid_from", "valid_to")
        known = {name: getattr(found, name) for name in names} | {"grace_until": grace_until(found)}
        known |= {"source": row["source"], "received_at": row["received_at"]}
    return License(
        state=state_of(found, current.now),
        nodes=LicenseUse(counted=counts["nodes"], allowed=found.max_nodes if found else None),
        proxies=LicenseUse(counted=counts["proxies"], allowed=found.max_proxies if found else None),
        problem=problem,
        **known,
    )


async def install(session: Session, text: str, source: LicenseSource) -> None:
    """Store a licence key, unless it is known already. Raises Invalid."""
    try:
        read = read_license("".join(text.split()))
    except BadLicense as error:
        raise invalid_at(f"the key {error}", "/key") from None
    if await session.execute("license.insert", key="".join(text.split()), source=source):
        details = {"id": read.id, "customer": read.customer, "source": source, "valid_to": read.valid_to.isoformat()}
        await record_events(session, [NewEvent(type="license.installed", details=details)])


async def admit(session: Session, kind: LimitedKind, new: int) -> None:
    """Refuse to create so many nodes or proxies if the licence does not allow it. Raises LicenseRefused.

    With a licence, creations take turns from here to the end of their transactions.
    """
    current = await read_current(session)
    if current.license is None or new <= 0:
        return
    await session.execute("license.lock_room")
    present = await session.value("license.count_present", of_nodes=kind == "nodes")
    refusal = refusal_of(current.license, current.now, kind, present=present, new=new)
    if refusal is not None:
        members = {"kind": kind, "counted": refusal.counted, "allowed": refusal.allowed}
        raise LicenseRefused(f"{refusal.reason}; everything that exists keeps running", members)


async def announce(session: Session) -> None:
    """Record an event for a stage that the licence has reached, once for all masters. Part of a transaction."""
    current = await read_current(session, statement="license.lock_all")
    if current.license is None or current.row is None:
        return
    stage = stage_of(current.license, current.now)
    if not is_later(stage, current.row["stage"]):
        return
    await session.execute("license.mark_stage", id=current.row["id"], stage=stage)
    details = {
        "id": current.license.id,
        "customer": current.license.customer,
        "valid_to": current.license.valid_to.isoformat(),
        "grace_until": grace_until(current.license).isoformat(),
    }
    await record_events(session, [NewEvent(type=EVENTS[stage], details=details)])


async def read_current(session: Session, statement: str = "license.select_all") -> Current:
    """Read which licence counts. Keys that this version cannot verify are passed over."""
    readable = list(readable_keys(await session.rows(statement)))
    counting = newest(license_ for license_, _ in readable)
    row = next((row for license_, row in readable if license_ is counting), None)
    now = await session.value("license.now") if counting is not None else datetime.min
    return Current(license=counting, row=row, now=now)


def readable_keys(rows: list[Row]) -> Iterator[tuple[keys.SignedLicense, Row]]:
    """Yield the licences of these rows that can be verified."""
    for row in rows:
        try:
            yield read_license(row["key"]), row
        except BadLicense:
            continue
