"""Enrols waiting nodes: calls them, proves the challenge, gives them an id, a name and a login at the broker.

Written first: the node's row, with the hash of its broker password; then the broker's login; then the node is told. A
master that dies in between leaves a row whose challenge is remembered, and the same call again goes on from there.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

from master.broker import Broker, password_hash
from master.db.constraints import refusal
from master.db.database import Database, Row
from master.domain.events.log import NewEvent, record_events
from master.domain.nodes.enrolment_client import ANSWER_TIMEOUT_S, EnrolmentClient, begun, columns, wrong
from master.domain.nodes.names import random_name
from master.domain.nodes.replacement import Replacement
from master.errors import Invalid, NameTaken, RowConflict, RowReferenced
from shared.enrolment.bodies import NodeFacts
from shared.proxies import NodeId

log = structlog.get_logger()

NAME_TRIES = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class EnrolmentRequest:
    """What POST /nodes asks for."""

    ip: str
    name: str | None
    location_id: int | None
    labels: Mapping[str, str]


class Enrolment:
    """Enrols and removes nodes."""

    def __init__(
        self,
        database: Database,
        broker: Broker,
        *,
        cluster: str,
        node_amqp_url: str,
        enrol_ports: Sequence[range],
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
    ) -> None:
        """`node_amqp_url`: the broker's address as nodes see it, without a login; `enrol_ports`: where nodes wait."""
        self._database, self._broker = database, broker
        self._handshakes = EnrolmentClient(cluster, node_amqp_url, enrol_ports, answer_timeout_s)
        self._replacement = Replacement(database, broker, self._handshakes)

    async def enrol(
        self, ip: str, port: int, challenge: str, name: str | None, location_id: int | None, labels: Mapping[str, str]
    ) -> tuple[NodeId, bool]:
        """The node's id and whether it is new. The same challenge again is the same node.

        Raises Invalid, NameTaken, ChallengeUsed, NodeRefused, NodeUnreachable, NodeTooSlow, BrokerAway, DatabaseError.
        """
        where = self._handshakes.where(ip, port)
        query = EnrolmentRequest(ip=where.ip, name=name, location_id=location_id, labels=labels)
        hash_, handshake = begun(challenge)
        known = await self._known(hash_)
        if known is not None and known["session"] > 0:
            return NodeId(known["id"]), False
        if known is None:
            await self._check_wishes(query)
        facts = await self._handshakes.hello(where, handshake)
        password = secrets.token_urlsafe(32)
        node_id, node_name, created = await self._record(query, facts, hash_, password_hash(password))
        async with self._database.session() as session:
            stored = await session.value("nodes.select_login", node_id=node_id)
        await self._broker.ensure_node(node_id, stored)
        await self._handshakes.configure(where, handshake, node_id, node_name, password)
        log.info("node.enrolled", node_id=node_id, name=node_name)
        return node_id, created

    async def replace(self, node_id: NodeId, ip: str, port: int, challenge: str) -> None:
        """Have the box that waits there take the node over. Raises as Replacement.replace."""
        await self._replacement.replace(node_id, ip, port, challenge)

    async def remove(self, node_id: NodeId) -> None:
        """Cut a node off that is no more. Raises BrokerAway; then the next connect of a master does it."""
        await self._broker.remove_node(node_id)

    async def close(self) -> None:
        """End its connections."""
        await self._handshakes.close()

    async def _known(self, hash_: str) -> Row | None:
        async with self._database.session() as session:
            return await session.row("enrolment.select_by_challenge", challenge_hash=hash_)

    async def _check_wishes(self, query: EnrolmentRequest) -> None:
        """Refuse what cannot be before the node is called; the schema has the last word later."""
        async with self._database.session() as session:
            row = await session.row("enrolment.check_request", location_id=query.location_id, name=query.name)
        if row is None or (query.location_id is not None and not row["location_exists"]):
            raise no_location(query)
        if row["name_node_id"] is not None:
            raise name_taken(query, row["name_node_id"])

    async def _record(
        self, query: EnrolmentRequest, facts: NodeFacts, hash_: str, login_hash: str
    ) -> tuple[NodeId, str, bool]:
        """The node's row; an existing one, not yet in use, gets the new login. A drawn name that is taken: another."""
        for attempt in range(NAME_TRIES):
            try:
                async with self._database.transaction() as session:
                    row = await session.row(
                        "enrolment.upsert",
                        name=query.name or random_name(attempt),
                        ip=query.ip,
                        location_id=query.location_id,
                        labels=dict(query.labels),
                        **columns(facts),
                        challenge_hash=hash_,
                        broker_password_hash=login_hash,
                    )
                    assert row is not None  # noqa: S101 (an upsert returns its row)
                    node_id = NodeId(row["id"])
                    if row["created"]:
                        details = {"name": row["name"], "ip": query.ip}
                        await record_events(session, [NewEvent(type="node.enrolled", node_id=node_id, details=details)])
                    return node_id, row["name"], row["created"]
            except RowConflict as error:
                if error.constraint != "nodes_name_key" or query.name is not None:
                    known = refusal(error.constraint)
                    if known is None:
                        raise
                    raise known from error
            except RowReferenced as error:
                raise no_location(query) from error
        raise NameTaken(detail="no free name was found; give the node a name")


def no_location(query: EnrolmentRequest) -> Invalid:
    """The location does not exist."""
    return wrong("/location_id", f"{query.location_id} does not exist")


def name_taken(query: EnrolmentRequest, by_node: int) -> NameTaken:
    """Another node has the name."""
    return NameTaken(detail=f"the name {query.name} is taken by node {by_node}", members={"by_node": by_node})
