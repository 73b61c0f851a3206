"""The enrolment of waiting nodes: prove the challenge, then give the node an id, a name and a login at the broker.

The node's row is written first, with the hash of its broker password; then the broker's login is made; then the node
gets its configuration. If a master dies in between, the row has the challenge, and repeating the call continues there.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from master.broker import password_hash
from master.broker_links.brokers import NodeLogins
from master.broker_links.links import BrokerLink
from master.db.constraints import refusal
from master.db.database import Database, Row, Session
from master.domain.events.log import NewEvent, record_events
from master.domain.license.service import admit
from master.domain.nodes.enrolment.client import (
    ANSWER_TIMEOUT_S,
    EnrolmentClient,
    WaitingAddress,
    begin_handshake,
    fact_columns,
    invalid_member,
)
from master.domain.nodes.names import random_name
from master.domain.nodes.replacement import Replacement
from master.errors import Invalid, MasterError, NameTaken, RowConflict, RowReferenced
from shared.enrolment.bodies import NodeFacts
from shared.proxies import NodeId

log = structlog.get_logger()

NAME_TRIES = 8


class InvitationClosed(MasterError):
    """The invitation was used up, expired or removed while a node was being enrolled by it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Invited:
    """The invitation by which a node enrols itself. Its row has the node's limits and exits."""

    id: int
    name_prefix: str | None

    def name(self, drawn: str) -> str:
        """Return the name of a node for which this one was drawn."""
        return f"{self.name_prefix}-{drawn}" if self.name_prefix else drawn


@dataclass(frozen=True, kw_only=True, slots=True)
class EnrolmentRequest:
    """The request of POST /nodes, or of a node that enrols itself."""

    ip: str
    name: str | None
    location_id: int | None
    labels: Mapping[str, str]
    invited: Invited | None = None


class Enrolment:
    """Enrol, replace and remove nodes."""

    def __init__(
        self,
        database: Database,
        broker: NodeLogins,
        *,
        cluster: str,
        link: Callable[[], BrokerLink],
        enrol_ports: Sequence[range],
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
    ) -> None:
        """`link` returns the link to the broker that a new node gets; nodes wait at `enrol_ports`."""
        self._database, self._broker = database, broker
        self._client = EnrolmentClient(cluster, link, enrol_ports, answer_timeout_s)
        self._replacement = Replacement(database, broker, self._client)

    async def enrol(
        self, ip: str, port: int, challenge: str, name: str | None, location_id: int | None, labels: Mapping[str, str]
    ) -> tuple[NodeId, bool]:
        """Return the node's id, and whether it is new. A repeated challenge returns the same node.

        Raises Invalid, LicenseRefused, NameTaken, ChallengeUsed, NodeRefused, NodeUnreachable, NodeTooSlow, BrokerAway,
        DatabaseError.
        """
        where = self.where(ip, port)
        request = EnrolmentRequest(ip=where.ip, name=name, location_id=location_id, labels=labels)
        return await self.enrol_at(where, challenge, request)

    def where(self, ip: str, port: int) -> WaitingAddress:
        """Return the address of a waiting node if the master may call it. Raises Invalid."""
        return self._client.where(ip, port)

    async def enrol_at(self, where: WaitingAddress, challenge: str, request: EnrolmentRequest) -> tuple[NodeId, bool]:
        """Enrol the node that waits there. Raises InvitationClosed, and the errors of `enrol`."""
        hash_, handshake = begin_handshake(challenge)
        enrolled = await self._select_enrolled(hash_)
        if enrolled is not None and enrolled["session"] > 0:
            return NodeId(enrolled["id"]), False
        if enrolled is None:
            await self._check_request(request)
        facts = await self._client.hello(where, handshake)
        password = secrets.token_urlsafe(32)
        node_id, node_name, created = await self._record(request, facts, hash_, password_hash(password))
        async with self._database.session() as session:
            stored = await session.value("nodes.select_login", node_id=node_id)
        await self._broker.ensure_node(node_id, stored)
        await self._client.configure(where, handshake, node_id, node_name, password)
        log.info("node.enrolled", node_id=node_id, name=node_name)
        return node_id, created

    async def replace(self, node_id: NodeId, ip: str, port: int, challenge: str) -> None:
        """Replace a node by the host that waits there. Raises the errors of Replacement.replace."""
        await self._replacement.replace(node_id, ip, port, challenge)

    async def remove(self, node_id: NodeId) -> None:
        """Delete the broker login of a removed node. After BrokerAway, the next connect of a master deletes it."""
        await self._broker.remove_node(node_id)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _select_enrolled(self, hash_: str) -> Row | None:
        async with self._database.session() as session:
            return await session.row("enrolment.select_by_challenge", challenge_hash=hash_)

    async def _check_request(self, request: EnrolmentRequest) -> None:
        """Refuse an impossible request before the node is called; the schema decides later."""
        async with self._database.session() as session:
            row = await session.row("enrolment.check_request", location_id=request.location_id, name=request.name)
            await admit(session, "nodes", 1)
        if row is None or (request.location_id is not None and not row["location_exists"]):
            raise no_location(request)
        if row["name_node_id"] is not None:
            raise name_taken(request, row["name_node_id"])

    async def _record(
        self, request: EnrolmentRequest, facts: NodeFacts, hash_: str, login_hash: str
    ) -> tuple[NodeId, str, bool]:
        """Write a new row, or the new login of a node not yet in use. Random names are drawn until one is free."""
        for attempt in range(NAME_TRIES):
            try:
                async with self._database.transaction() as session:
                    if await session.row("enrolment.select_by_challenge", challenge_hash=hash_) is None:
                        await admit(session, "nodes", 1)
                    row = await session.row(
                        "enrolment.upsert",
                        name=request.name or drawn_name(request, attempt),
                        ip=request.ip,
                        location_id=request.location_id,
                        labels=dict(request.labels),
                        **fact_columns(facts),
                        challenge_hash=hash_,
                        broker_password_hash=login_hash,
                    )
                    assert row is not None  # noqa: S101 (an upsert returns its row)
                    node_id = NodeId(row["id"])
                    if row["created"]:
                        used = await use_invitation(session, node_id, request.invited)
                        details = {"name": row["name"], "ip": request.ip}
                        enrolled = NewEvent(type="node.enrolled", node_id=node_id, details=details)
                        await record_events(session, [enrolled, *used])
                    return node_id, row["name"], row["created"]
            except RowConflict as error:
                if error.constraint != "nodes_name_key" or request.name is not None:
                    refused = refusal(error.constraint)
                    if refused is None:
                        raise
                    raise refused from error
            except RowReferenced as error:
                raise no_location(request) from error
        raise NameTaken(detail="no free name was found; give the node a name")


async def use_invitation(session: Session, node_id: NodeId, invited: Invited | None) -> list[NewEvent]:
    """Count one use for a new node and give it the invitation's limits and exits. Raises InvitationClosed."""
    if invited is None:
        return []
    row = await session.row("enrolment.use_invitation", id=invited.id, node_id=node_id)
    if row is None:
        raise InvitationClosed("the invitation was used up, expired or removed meanwhile")
    details = {"invitation_id": invited.id, "used": row["used"], "uses": row["uses"]}
    return [NewEvent(type="invitation.used", node_id=node_id, details=details)]


def drawn_name(request: EnrolmentRequest, attempt: int) -> str:
    """Draw a name for a node that is given none."""
    drawn = random_name(attempt)
    return drawn if request.invited is None else request.invited.name(drawn)


def no_location(request: EnrolmentRequest) -> Invalid:
    """Return the refusal of a location that does not exist."""
    return invalid_member("/location_id", f"{request.location_id} does not exist")


def name_taken(request: EnrolmentRequest, by_node: int) -> NameTaken:
    """Return the refusal of a name that another node has."""
    return NameTaken(detail=f"the name {request.name} is taken by node {by_node}", members={"by_node": by_node})
