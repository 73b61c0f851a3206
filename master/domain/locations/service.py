"""Read, create, change and remove locations."""

from master.db.constraints import existing
from master.db.database import Session
from master.domain.events.log import NewEvent, record_events
from master.domain.locations.schemas import (
    Location,
    LocationFilter,
    LocationList,
    LocationPage,
    LocationPatch,
    NewLocation,
    location_from_row,
)
from master.errors import StillUsed
from master.schemas.filters import filter_parameters
from master.schemas.merge_patch import differing, merged


async def get(session: Session, id_: int) -> Location:
    """Return one location. Raises NotFound."""
    return location_from_row(existing(await session.row("locations.select_one", id=id_), "location", id_))


async def page(session: Session, query: LocationList) -> LocationPage:
    """Return a page of the locations that match."""
    where = filter_parameters(query, LocationFilter)
    rows = await session.rows(f"locations.select_page by {query.sort}", **where, **query.position)
    return LocationPage(items=[location_from_row(row) for row in rows], next=query.next_after(rows))


async def create(session: Session, body: NewLocation) -> Location:
    """Create a location. The transaction's end raises NameTaken."""
    row = await session.row("locations.insert", **body.model_dump())
    created = location_from_row(row or {})
    await record_events(
        session, [NewEvent(type="location.created", location_id=created.id, details={"name": created.name})]
    )
    return created


async def change(session: Session, id_: int, body: LocationPatch) -> Location:
    """Change a location. Raises NotFound; the transaction's end raises NameTaken."""
    now = location_from_row(existing(await session.row("locations.lock", id=id_), "location", id_))
    before = now.model_dump(include={"name", "country", "labels"})
    after = merged(before, body.given())
    if after == before:
        return now
    row = existing(await session.row("locations.update", id=id_, **after), "location", id_)
    details = {"changed": differing(before, after)}
    await record_events(session, [NewEvent(type="location.updated", location_id=id_, details=details)])
    return location_from_row(row)


async def remove(session: Session, id_: int) -> None:
    """Remove a location without nodes. Raises NotFound, StillUsed."""
    now = location_from_row(existing(await session.row("locations.lock", id=id_), "location", id_))
    count = await session.value("locations.count_nodes", id=id_)
    if count:
        raise StillUsed(f"{count} nodes stand at the location {now.name}", {"count": count})
    await session.execute("locations.delete", id=id_)
    await record_events(session, [NewEvent(type="location.deleted", location_id=id_, details={"name": now.name})])
