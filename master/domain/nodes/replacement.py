"""The replacement of a node's host: a waiting host takes over its id, name, location, labels, limits and proxies.

Nothing is written before the new host has confirmed its configuration: until then the old host keeps working, and the
new one cannot log in. Then:

1. the broker login is deleted, which cuts off the old host;
2. one transaction gives the row to the new host: address, facts, challenge and the hash of its password. Its status is
   reset, and late reports of the old host are recognised by their session;
3. the login is made with the new password.

If a master dies between 1 and 2, the node has no login; the masters soon restore it from the database, and the old host
keeps working. Between 2 and 3 they restore the login of the new host. The new host keeps its challenge until the broker
has accepted its login, so the same call can be repeated and continues there.
"""

import secrets

import structlog

from master.broker import password_hash
from master.broker_links.brokers import NodeLogins
from master.db.constraints import existing, storable, writing
from master.db.database import Database, Row, Session
from master.domain.events.log import NewEvent, record_events
from master.domain.nodes import service as nodes
from master.domain.nodes.enrolment.client import EnrolmentClient, begin_handshake, fact_columns
from master.domain.proxies.service import lock_placement
from master.errors import BrokerAway, ChallengeUsed, RequestRefused, engine_missing, port_taken
from shared.enrolment.bodies import NodeFacts
from shared.proxies import NodeId

log = structlog.get_logger()


class Replacement:
    """Replace hosts of nodes."""

    def __init__(self, database: Database, broker: NodeLogins, client: EnrolmentClient) -> None:
        self._database, self._broker, self._client = database, broker, client

    async def replace(self, node_id: NodeId, ip: str, port: int, challenge: str) -> None:
        """Replace the host of a node. A repeated challenge returns at once.

        Raises NotFound, Invalid, ChallengeUsed, PortTaken, EngineMissing, ExitsUsed, NodeRefused, NodeUnreachable,
        NodeTooSlow, BrokerAway, DatabaseError.
        """
        where = self._client.where(ip, port)
        hash_, handshake = begin_handshake(challenge)
        async with self._database.session() as session:
            row = await node_to_replace(session, node_id, hash_)
        if row["challenge_hash"] == hash_ and row["session"] > 0:
            return
        facts = await self._client.hello(where, handshake)
        async with self._database.transaction() as session:
            await check_host(session, row, where.ip, facts)
        password = secrets.token_urlsafe(32)
        await self._client.configure(where, handshake, node_id, row["name"], password)
        await self._switch(node_id, where.ip, facts, hash_, password_hash(password))
        log.info("node.replaced", node_id=node_id, ip=where.ip, before=row["ip"])

    async def _switch(self, node_id: NodeId, ip: str, facts: NodeFacts, hash_: str, login_hash: str) -> None:
        """Switch from the old host to the new one, which has its configuration."""
        await self._broker.delete_login(node_id)
        try:
            async with writing(self._database) as session:
                await take_over(session, node_id, ip, facts, hash_, login_hash)
        except RequestRefused:
            await self._restore_login(node_id)
            raise
        await self._broker.delete_login(node_id)  # another master may have restored the old login meanwhile
        await self._broker.ensure_node(node_id, login_hash)

    async def _restore_login(self, node_id: NodeId) -> None:
        """Let the old host continue."""
        async with self._database.session() as session:
            hash_ = await session.value("nodes.select_login", node_id=node_id)
        try:
            if hash_ is not None:
                await self._broker.ensure_node(node_id, hash_)
        except BrokerAway as error:
            log.warning("broker.login_not_restored", node_id=node_id, reason=error.reason)


async def node_to_replace(session: Session, node_id: NodeId, hash_: str) -> Row:
    """Return the node as it is. Raises NotFound, ChallengeUsed."""
    row = existing(await session.row("replacement.select_node", id=node_id, challenge_hash=hash_), "node", node_id)
    if row["challenged_id"] not in (None, node_id):
        other = row["challenged_id"]
        raise ChallengeUsed(f"this challenge has been used: its host is node {other}", {"node_id": other})
    return row


async def check_host(session: Session, row: Row, ip: str, facts: NodeFacts) -> None:
    """Check that the host can run the node's proxies. Raises PortTaken, EngineMissing, ExitsUsed."""
    shared = await session.row("nodes.select_shared_ports", id=row["id"], ip=ip)
    if shared is not None:
        raise port_taken(shared["port"], shared["by_proxy"], shared["node_id"])
    for each in await session.rows("replacement.select_engines", id=row["id"]):
        if each["engine"] not in facts.engines:
            raise engine_missing(each["engine"], [row["id"]])
    declared = {"addresses": row["exit_addresses"], "ipv6_prefixes": row["ipv6_prefixes"]}
    await nodes.check_exits(session, {**row, "addresses": list(facts.addresses)}, declared)


async def take_over(session: Session, node_id: NodeId, ip: str, facts: NodeFacts, hash_: str, login_hash: str) -> None:
    """Give the node's row to the new host. Raises the errors of node_to_replace and check_host."""
    await lock_placement(session)
    existing(await session.row("nodes.lock_for_update", id=node_id), "node", node_id)
    await session.execute("placement.lock_ip", ip=ip)
    before = await node_to_replace(session, node_id, hash_)
    await check_host(session, before, ip, facts)
    await session.execute(
        "replacement.take_over",
        id=node_id,
        ip=ip,
        **fact_columns(facts),
        challenge_hash=hash_,
        broker_password_hash=login_hash,
    )
    await session.execute("replacement.renew_exits", id=node_id)
    for statement in ("replacement.reset_status", "replacement.delete_failures", "replacement.delete_taken_ports"):
        await session.execute(statement, id=node_id)
    if before["challenge_hash"] != hash_:
        details = {"ip": ip, "before": before["ip"], "host": storable(facts.host)}
        await record_events(session, [NewEvent(type="node.replaced", node_id=node_id, details=details)])
