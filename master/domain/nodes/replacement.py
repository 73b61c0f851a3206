"""A waiting box takes a node over: its id, name, place, labels, limits and proxies, with their ports and logins.

Nothing is written before the new box has confirmed that it has its configuration: until then the old box works on as
before, and the new one tries in vain to log in. Then:

1. the broker's login is taken, which cuts the old box off;
2. one transaction makes the row the new box's: address, facts, challenge, the hash of its password; nothing has been
   heard of it, and what is still on its way from the old box is known by its session;
3. the login is made, with the new password.

A master that dies between 1 and 2 leaves a node without a login; masters soon make it out of the database, so the old
box works on. Between 2 and 3 it is the new box's login that they make. Whatever was lost, the box keeps its challenge
until the broker has accepted its login, and the same call goes on from there.
"""

import secrets

import structlog

from master.broker import Broker, password_hash
from master.db.constraints import writing
from master.db.database import Database, Row, Session
from master.db.rows import existing
from master.domain.events.log import NewEvent, record_events
from master.domain.nodes import service as nodes
from master.domain.nodes.enrolment_client import EnrolmentClient, begun, columns, plain
from master.domain.proxies.service import lock_placement
from master.errors import BrokerAway, ChallengeUsed, RequestRefused, engine_missing, port_taken
from shared.enrolment.bodies import NodeFacts
from shared.proxies import NodeId

log = structlog.get_logger()


class Replacement:
    """Has boxes take nodes over."""

    def __init__(self, database: Database, broker: Broker, handshakes: EnrolmentClient) -> None:
        """Share these."""
        self._database, self._broker, self._handshakes = database, broker, handshakes

    async def replace(self, node_id: NodeId, ip: str, port: int, challenge: str) -> None:
        """The same challenge again is the same answer.

        Raises NotFound, Invalid, ChallengeUsed, PortTaken, EngineMissing, ExitsUsed, NodeRefused, NodeUnreachable,
        NodeTooSlow, BrokerAway, DatabaseError.
        """
        where = self._handshakes.where(ip, port)
        hash_, handshake = begun(challenge)
        async with self._database.session() as session:
            row = await standing(session, node_id, hash_)
        if row["challenge_hash"] == hash_ and row["session"] > 0:
            return
        facts = await self._handshakes.hello(where, handshake)
        async with self._database.transaction() as session:
            await check(session, row, where.ip, facts)
        password = secrets.token_urlsafe(32)
        await self._handshakes.configure(where, handshake, node_id, row["name"], password)
        await self._switch(node_id, where.ip, facts, hash_, password_hash(password))
        log.info("node.replaced", node_id=node_id, ip=where.ip, before=row["ip"])

    async def _switch(self, node_id: NodeId, ip: str, facts: NodeFacts, hash_: str, login_hash: str) -> None:
        """From the old box to the new one, which has its configuration already."""
        await self._broker.take_login(node_id)
        try:
            async with writing(self._database) as session:
                await take_over(session, node_id, ip, facts, hash_, login_hash)
        except RequestRefused:
            await self._give_back(node_id)
            raise
        await self._broker.take_login(node_id)  # somebody may have made it anew meanwhile, out of what was there before
        await self._broker.ensure_node(node_id, login_hash)

    async def _give_back(self, node_id: NodeId) -> None:
        """The old box goes on."""
        async with self._database.session() as session:
            hash_ = await session.value("nodes.select_login", node_id=node_id)
        try:
            if hash_ is not None:
                await self._broker.ensure_node(node_id, hash_)
        except BrokerAway as error:
            log.warning("broker.login_not_given_back", node_id=node_id, reason=error.reason)


async def standing(session: Session, node_id: NodeId, hash_: str) -> Row:
    """The node as it is. Raises NotFound, ChallengeUsed."""
    row = existing(await session.row("replacement.select_node", id=node_id, challenge_hash=hash_), "node", node_id)
    if row["challenged_id"] not in (None, node_id):
        other = row["challenged_id"]
        raise ChallengeUsed(f"this challenge has been used: its box is node {other}", {"node_id": other})
    return row


async def check(session: Session, row: Row, ip: str, facts: NodeFacts) -> None:
    """Whether the box can run what the node has. Raises PortTaken, EngineMissing, ExitsUsed."""
    shared = await session.row("nodes.select_shared_ports", id=row["id"], ip=ip)
    if shared is not None:
        raise port_taken(shared["port"], shared["by_proxy"], shared["node_id"])
    for each in await session.rows("replacement.select_engines", id=row["id"]):
        if each["engine"] not in facts.engines:
            raise engine_missing(each["engine"], [row["id"]])
    declared = {"addresses": row["exit_addresses"], "ipv6_prefixes": row["ipv6_prefixes"]}
    await nodes.check_exits(session, {**row, "addresses": list(facts.addresses)}, declared)


async def take_over(session: Session, node_id: NodeId, ip: str, facts: NodeFacts, hash_: str, login_hash: str) -> None:
    """The node is the new box. Raises as `standing` and `check`."""
    await lock_placement(session)
    existing(await session.row("nodes.lock_for_update", id=node_id), "node", node_id)
    await session.execute("placement.lock_ip", ip=ip)
    before = await standing(session, node_id, hash_)
    await check(session, before, ip, facts)
    await session.execute(
        "replacement.take_over",
        id=node_id,
        ip=ip,
        **columns(facts),
        challenge_hash=hash_,
        broker_password_hash=login_hash,
    )
    await session.execute("replacement.renew_exits", id=node_id)
    for what in ("replacement.reset_status", "replacement.delete_failures", "replacement.delete_taken_ports"):
        await session.execute(what, id=node_id)
    if before["challenge_hash"] != hash_:
        details = {"ip": ip, "before": before["ip"], "host": plain(facts.host)}
        await record_events(session, [NewEvent(type="node.replaced", node_id=node_id, details=details)])
