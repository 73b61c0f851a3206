"""Announcements of waiting nodes: check the proof, judge the invitation, and have the node enrolled in the background.

A node learns nothing but whether it is going to be called: the outcome is in the log, in the events, and in
`last_error` of the invitation. Whether a node is counted is decided in the transaction that makes it, so a master may
end at any moment, and several masters may hear the same node.
"""

import asyncio
import time

import structlog

from master.actors import acting, cause, invitation_actor
from master.db.constraints import storable
from master.db.database import Database, Row
from master.domain.nodes.enrolment.client import WaitingAddress
from master.domain.nodes.enrolment.service import Enrolment, EnrolmentRequest, InvitationClosed, Invited
from master.domain.nodes.invitations.keys import InvitationKeys
from master.domain.nodes.invitations.limits import Recent, RefusalRates, Slots, may_name, sender_of
from master.errors import DatabaseError, Invalid, MasterError, Reported
from master.schemas.addresses import node_ip
from shared.asgi import JSON, Answer
from shared.enrolment.bodies import REFUSED
from shared.enrolment.challenge import challenge_hash
from shared.enrolment.invitation import (
    Announcement,
    AnnouncementAnswer,
    BadAnnouncement,
    is_genuine,
    node_challenge,
    read_announcement,
)

log = structlog.get_logger()

AGAIN_S = 2.0
"""A nonce leads to at most one handshake in this time."""
DONE_S = 60.0
"""A node that is enrolled, or whose invitation is closed, is answered from memory for this time."""
BUSY_S = 5.0
REASONS = {
    "used_up": "the invitation has enrolled as many nodes as it may",
    "expired": "the invitation has expired",
    "removed": "the invitation was removed",
}


def explained(status: int, *, ip: str | None = None, reason: str | None = None) -> Answer:
    """Answer a node that has proven its invitation."""
    body = AnnouncementAnswer(ip=ip, reason=reason).model_dump_json(exclude_none=True).encode()
    return Answer(status, body, JSON)


def busy(seconds: float) -> Answer:
    """Ask the sender to come again after these seconds."""
    return again(429, seconds)


def again(status: int, seconds: float) -> Answer:
    """Answer that a later announcement may be taken."""
    return Answer(status, REFUSED, headers=((b"retry-after", b"%d" % max(1, round(seconds))),))


class AnnouncementReceiver:
    """Receive announcements while `run` runs."""

    def __init__(self, database: Database, enrolment: Enrolment) -> None:
        self._database, self._enrolment = database, enrolment
        self._keys = InvitationKeys(database)
        self._refusals, self._slots = RefusalRates(), Slots()
        self._recent: Recent[Answer] = Recent()
        self._under_way: set[str] = set()
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Run the handshakes until cancelled."""
        async with asyncio.TaskGroup() as self._group:
            await asyncio.Event().wait()

    async def announce(self, body: bytes, address: str) -> Answer:
        """Answer an announcement that came from this address."""
        try:
            sender = node_ip(address)
        except ValueError:
            return self._refuse("")
        try:
            announcement = read_announcement(body)
            key = await self._keys.key_of(announcement.invitation)
        except BadAnnouncement:
            return self._refuse(sender)
        except DatabaseError:
            return again(503, BUSY_S)
        if key is None or not is_genuine(announcement, key):
            return self._refuse(sender)
        return await self._recall(sender, announcement, key)

    def _refuse(self, sender: str) -> Answer:
        now = time.monotonic()
        if not self._refusals.admit(sender and sender_of(sender), now):
            return busy(self._refusals.wait_s(now))
        log.warning("announcement.refused", sender=sender)
        return Answer(403, REFUSED)

    async def _recall(self, sender: str, announcement: Announcement, key: bytes) -> Answer:
        """Answer a repeated announcement as before; a copy that another sender makes leads nowhere."""
        nonce, now = (announcement.invitation, announcement.nonce), time.monotonic()
        known = self._recent.find(nonce, now)
        if known is not None and known.sender != sender:
            return busy(known.bound_until - now)
        if known is not None and now < known.until and known.answer is not None:
            return known.answer
        self._recent.remember(nonce, sender, busy(1), now, AGAIN_S)
        answer, seconds = await self._judge(sender, announcement, key)
        self._recent.remember(nonce, sender, answer, time.monotonic(), seconds)
        return answer

    async def _judge(self, sender: str, announcement: Announcement, key: bytes) -> tuple[Answer, float]:
        """Decide on a genuine announcement. Returns the answer, and for how many seconds it holds."""
        challenge = node_challenge(key, announcement.nonce)
        try:
            where = self._where(sender, announcement)
            row = await self._select(announcement.invitation, challenge)
        except Invalid as error:
            await self._note(announcement.invitation, str(error))
            return explained(422, reason=str(error)), AGAIN_S
        except DatabaseError:
            return again(503, BUSY_S), 0
        if row is None or (row["node_id"] is None and row["state"] != "open"):
            return explained(410, reason=REASONS["removed" if row is None else row["state"]]), DONE_S
        accepted = explained(202, ip=where.ip)
        if row["is_enrolled"]:
            return accepted, DONE_S
        return (accepted, AGAIN_S) if self._begin(sender, where, challenge, row) else (busy(BUSY_S), 1)

    def _where(self, sender: str, announcement: Announcement) -> WaitingAddress:
        """Return where the node waits: at the sender's address, or at the one that it names. Raises Invalid."""
        where = self._enrolment.where(announcement.ip or sender, announcement.port)
        if not may_name(sender, where.ip):
            raise Invalid(f"a node that announces itself from {sender} may not name the private address {where.ip}")
        return where

    async def _select(self, id_: int, challenge: str) -> Row | None:
        async with self._database.session() as session:
            return await session.row("invitations.select_announced", id=id_, challenge_hash=challenge_hash(challenge))

    def _begin(self, sender: str, where: WaitingAddress, challenge: str, row: Row) -> bool:
        """Begin a handshake unless one with this node is under way; False if there are too many with others."""
        of = sender_of(sender)
        if challenge in self._under_way:
            return True
        if self._group is None or not self._slots.take(of):
            return False
        self._under_way.add(challenge)
        self._group.create_task(self._enrol(of, where, challenge, row))
        return True

    async def _enrol(self, of: str, where: WaitingAddress, challenge: str, row: Row) -> None:
        request = EnrolmentRequest(
            ip=where.ip,
            name=None,
            location_id=row["location_id"],
            labels=row["labels"],
            invited=Invited(id=row["id"], name_prefix=row["name_prefix"]),
        )
        try:
            with acting(invitation_actor(row["id"]), cause().request_id):
                await self._enrolment.enrol_at(where, challenge, request)
        except (Reported, InvitationClosed, DatabaseError) as error:
            log.warning("node.not_enrolled", invitation_id=row["id"], ip=where.ip, port=where.port, reason=str(error))
            await self._note(row["id"], str(error))
        finally:
            self._under_way.discard(challenge)
            self._slots.free(of)

    async def _note(self, id_: int, reason: str) -> None:
        """Show the reason on the invitation."""
        try:
            async with self._database.session() as session:
                await session.execute("invitations.note_failure", id=id_, reason=storable(reason))
        except MasterError as error:
            log.warning("invitation.failure_not_noted", invitation_id=id_, reason=str(error))
