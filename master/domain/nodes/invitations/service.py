"""Create, read and remove invitations."""

from datetime import timedelta

from master.db.constraints import existing
from master.db.database import Session
from master.domain.events.log import NewEvent, record_events
from master.domain.nodes.invitations.installation import installation
from master.domain.nodes.invitations.schemas import (
    DEFAULT_HOURS,
    MAX_DAYS,
    Invitation,
    InvitationCreated,
    InvitationList,
    InvitationPage,
    NewInvitation,
    invitation_from_row,
)
from master.domain.nodes.protocols import InstallSource
from master.domain.nodes.service import check_location
from master.errors import invalid_at
from shared.enrolment.challenge import invitation_code, new_challenge
from shared.enrolment.invitation import invitation_key

KEPT = timedelta(days=30)
"""Time after which a removed invitation is forgotten."""


async def get(session: Session, id_: int) -> Invitation:
    """Return one invitation. Raises NotFound."""
    return invitation_from_row(existing(await session.row("invitations.select_one", id=id_), "invitation", id_))


async def page(session: Session, query: InvitationList) -> InvitationPage:
    """Return a page of invitations."""
    rows = await session.rows(f"invitations.select_page by {query.sort}", **query.position)
    return InvitationPage(items=[invitation_from_row(row) for row in rows], next=query.next_after(rows))


async def create(session: Session, body: NewInvitation, source: InstallSource) -> InvitationCreated:
    """Create an invitation. Its code is returned here and never again. Raises Invalid."""
    now = await session.value("invitations.clock")
    expires_at = body.expires_at or now + timedelta(hours=DEFAULT_HOURS)
    if not now < expires_at <= now + timedelta(days=MAX_DAYS):
        raise invalid_at(f"expires_at must lie in the future, by at most {MAX_DAYS} days", "/expires_at")
    if body.location_id is not None:
        await check_location(session, body.location_id)
    challenge = new_challenge()
    key = invitation_key(challenge).hex()
    id_ = await session.value("invitations.insert", **body.columns(), expires_at=expires_at, key=key)
    created = await get(session, id_)
    details = {"invitation_id": id_, "uses": body.uses}
    await record_events(session, [NewEvent(type="invitation.created", location_id=body.location_id, details=details)])
    return InvitationCreated(**dict(created), **installation(invitation_code(id_, challenge), source))


async def remove(session: Session, id_: int) -> None:
    """Remove an invitation: no further node is enrolled by it. Raises NotFound."""
    row = existing(await session.row("invitations.remove", id=id_), "invitation", id_)
    details = {"invitation_id": id_, "uses": row["uses"], "used": row["used"]}
    await record_events(session, [NewEvent(type="invitation.removed", details=details)])


async def forget(session: Session) -> None:
    """Delete invitations that were removed long ago."""
    await session.execute("invitations.forget", kept=KEPT)
